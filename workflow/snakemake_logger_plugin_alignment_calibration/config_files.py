"""Config files checked before Snakemake reads them.

It reads those of --configfile before any Snakefile, and then names no line of a YAML error, waits
for a pipe for ever and writes out every alias of a bomb.
"""

import sys
from pathlib import Path
from typing import Any

import snakemake.settings.types

from alignment_calibration.errors import UserError
from alignment_calibration.study.strict_yaml import read_yaml

_SUFFIXES = (".yaml", ".yml", ".json")


def check_before_snakemake() -> None:
    """Put the check in front of the function by which Snakemake reads a config file."""
    read = snakemake.settings.types.load_configfile

    def checked(file: str | Path) -> Any:
        if problem := problem_of(file):
            sys.exit(f"error: {problem}")
        return read(file)

    snakemake.settings.types.load_configfile = checked


def problem_of(file: str | Path) -> str | None:
    """What is wrong with a config file, in a line, with what to do about it."""
    path = Path(file)
    target = (
        f"; --configfile takes every word after it for a file, so targets stand before it: "
        f"snakemake {file} --configfile …"
    )
    hint = "" if path.suffix in _SUFFIXES else target
    if not path.exists():
        return f"--configfile: there is no file {file}{hint}"
    try:
        read_yaml(path)
    except UserError as error:
        return f"{error}{hint}"
    return None
