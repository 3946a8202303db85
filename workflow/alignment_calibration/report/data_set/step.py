"""The step `export`: a study as a folder ready to be published as a data set."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from alignment_calibration.contract import FILES
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import read_json, write_json, write_text
from alignment_calibration.files.logits import logits_beside, run_json_beside
from alignment_calibration.files.verification import problems
from alignment_calibration.report.data_set.card import card, description
from alignment_calibration.report.data_set.croissant import as_pattern, croissant
from alignment_calibration.study.vocabulary import PROMPTS

#: Folders of what was asked and scored, and of what follows at once. Those of parts, from which the
#: tables of all models and pairs are joined, are made again in seconds, and hold replicates.
FOLDERS: Final = ("models", "questions", "logits", "confidences")


def write_export(
    files: Iterable[str | Path],
    results: str | Path,
    study: Mapping[str, Any],
    template: str | Path,
    output: str | Path,
) -> None:
    """Write a study's files with its config and two cards, laid out as its results.

    Args:
        files: of the study, below `results`: those of `FOLDERS`, receipts for logit files, and
            the tables of all models and pairs.
        results: the study's folder of results.
        study: the config, defaults filled in.
        template: of the card for people.
        output: folder to write, whole or not at all.

    Raises:
        UserError: if a file is not what the workflow wrote, or the disk refuses.
    """
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    # But for records of models, whose checkpoints need not be there any more.
    checked = [str(path) for path in files]
    checked = [path for path in checked if path.endswith((".parquet", ".csv", ".receipt.json"))]
    if found := list(problems(checked)):
        raise UserError("\nerror: ".join(found))
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as scratch:
        folder = Path(scratch, "folder")
        try:
            for path in _with_what_lies_beside(files):
                target = folder / path.relative_to(results)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        except OSError as error:
            raise UserError(f"{output}: cannot be written ({error})") from None
        _describe(folder, study, template)
        for key in absolute_paths(study):
            print(
                f"warning: {key}: an absolute path, which config.yaml and the logit files show to "
                "all who read them",
                file=sys.stderr,
            )
        folder.replace(output)


def absolute_paths(value: Any, *keys: str) -> Iterator[str]:
    """Keys of a config, joined by dots, under which an absolute path stands.

    Args:
        value: config, or a part of it.
        keys: under which the part stands.
    """
    if isinstance(value, Mapping):
        for key, entry in value.items():
            yield from absolute_paths(entry, *keys, key)
    elif isinstance(value, list):
        for entry in value:
            yield from absolute_paths(entry, *keys)
    elif isinstance(value, str) and Path(value).is_absolute():
        yield ".".join(keys)


def _with_what_lies_beside(files: Iterable[str | Path]) -> Iterator[Path]:
    for path in map(Path, files):
        yield path
        if path.name.endswith(".receipt.json"):
            yield logits_beside(path)
            if run_json_beside(path).is_file():
                yield run_json_beside(path)


def _describe(folder: Path, study: Mapping[str, Any], template: str | Path) -> None:
    """Put config and cards beside the files, and take the machine out of the records of models."""
    for path in sorted(folder.glob("models/*.json")):
        write_json(path, read_json(path) | {"path": None})
    write_text(folder / "config.yaml", yaml.safe_dump(_as_written(study), sort_keys=False))
    files = {
        file: schema
        for file, schema in FILES.items()
        if file.split("/")[0] in FOLDERS or (folder / file).is_file()
    }
    configs = {
        file.split("/")[0].removesuffix(".parquet"): as_pattern(file)
        for file in sorted(files, key=lambda file: file != "changes.parquet")
        if file.endswith(".parquet")
    }
    write_text(folder / "README.md", card(template, study, folder, configs))
    metadata = croissant(study["study"], description(study), folder, files)
    write_json(folder / "croissant.json", metadata)


def _as_written(study: Mapping[str, Any]) -> dict[str, Any]:
    """A config with all defaults that may be written: no section is empty, a local checkpoint has
    no revision, and a task no key of a prompt that is put from another's."""
    models = {
        name: {key: value for key, value in spec.items() if key != "revision" or "hub" in spec}
        for name, spec in study["models"].items()
    }
    tasks = {
        name: {key: value for key, value in spec.items() if PROMPTS.get(key, key) == key}
        for name, spec in study["tasks"].items()
    }
    others = {key: value for key, value in study.items() if key != "scored" and value != {}}
    return others | {"models": models, "tasks": tasks}
