"""The tasks that come with lm-eval, found by name without lm-eval's own index, which parses all of
its 14,000 files.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import importlib.util
import os
import re
from functools import cache
from pathlib import Path

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.task_yaml import Trust, read_task


@cache
def stock_folder() -> Path:
    """Folder of the tasks that come with lm-eval, found without importing it.

    Raises:
        UserError: if lm-eval is not installed.
    """
    found = importlib.util.find_spec("lm_eval")
    if found is None or not found.submodule_search_locations:
        raise UserError("lm-eval is not installed; install the package with its extra [workflow]")
    return (Path(found.submodule_search_locations[0]) / "tasks").resolve()


@cache
def _yamls() -> tuple[Path, ...]:
    return tuple(
        Path(folder) / name
        for folder, _, names in sorted(os.walk(stock_folder()))
        for name in sorted(names)
        if name.endswith(("yaml", "yml"))
    )


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


_DEFINES = rb"""^["']?(?:task|group)["']?\s*:\s*["']?([^"'\s#\[{]+)["']?\s*(?:#.*)?$"""


def stock_file(name: str) -> Path | None:
    """lm-eval's YAML that defines this task or group.

    lm-eval's own index parses all of its 14,000 files; nearly always the file bears the name, and
    where it does not, one line of it does.
    """
    wanted = name.encode()

    def defines(path: Path) -> bool:
        return wanted in re.findall(_DEFINES, _content(path), flags=re.MULTILINE)

    namesakes = [path for path in _yamls() if path.stem.lstrip("_") == name]
    for paths in (namesakes, _yamls()):
        found = next((path for path in paths if path.suffix and defines(path)), None)
        if found is not None:
            return found
    return None


def stock_tag(name: str, trust: Trust) -> list[tuple[str, Path]]:
    """lm-eval's tasks with this tag, by name; a task has the tags of what it includes, too."""
    word = re.compile(rb"""["'\s\[,-]""" + re.escape(name.encode()) + rb"""["'\s\],]""")
    naming = {path.parent for path in _yamls() if word.search(_content(path) + b"\n")}
    found = {}
    for path in _yamls():
        if path.parent in naming and path.suffix == ".yaml":
            try:
                config = read_task(path, trust).config
            except UserError:  # a form that is not taken here, as a group with tasks written out
                continue
            tags = config.get("tag") or []
            if name in ([tags] if isinstance(tags, str) else tags):
                found[config["task"]] = path
    return sorted(found.items())


def stock_names() -> list[str]:
    """Names of all tasks and groups of lm-eval, for a suggestion."""
    return [
        match.decode()
        for path in _yamls()
        for match in re.findall(_DEFINES, _content(path), flags=re.MULTILINE)
    ]
