"""lm-eval's dialect of YAML: a task with what it includes and the code that it names.

A YAML of ours or lm-eval's may name code, `!function module.name`; one of the user's is data, read
by an allow-list of keys and kinds of values. Imported while Snakemake parses the workflow, so
nothing heavy may be imported here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.study.explain import violation
from alignment_calibration.study.strict_yaml import read_yaml

#: Most files that a task is put together from.
MAX_FILES = 50


class Hook(str):
    """What `!function` names, `module.name`: code beside the YAML in `folder`, run by lm-eval."""

    folder: Path

    @property
    def file(self) -> Path:
        """The file that the code is in, where it is beside the YAML."""
        return self.folder / f"{self.rpartition('.')[0].replace('.', '/')}.py"


@dataclass(frozen=True)
class Trust:
    """What is taken from whom.

    Attributes:
        folders: Whose YAMLs may name code.
        schema: The JSON schema (a YAML file) of all others.
    """

    folders: tuple[Path, ...]
    schema: Path


@dataclass(frozen=True)
class TaskYaml:
    """A YAML with its includes merged as lm-eval merges them, and every file that took part."""

    config: dict[str, Any]
    files: tuple[Path, ...]
    code: tuple[Path, ...]


def read_task(path: Path, trust: Trust, within: tuple[Path, ...] = ()) -> TaskYaml:
    """A task's YAML and what it includes.

    Args:
        path: The file.
        trust: Where code may be named, and what all else may say.
        within: The files that include it.

    Raises:
        UserError: if it cannot be read, is no task, or says what its place does not allow.
    """
    try:
        path = path.resolve()
    except (OSError, RuntimeError) as error:  # a circle of links
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from None
    if path in within:
        raise UserError(f"{path}: includes itself")
    if len(within) > MAX_FILES:
        raise UserError(f"{within[0]}: includes more than {MAX_FILES} files")
    if any(map(path.is_relative_to, trust.folders)):
        config = _read_trusted(path)
    else:
        config = read_yaml(path, multiline="")
        # What names no task, and is not part of one, is a YAML of some other purpose.
        is_task = within or config.keys() & {"task", "group"}
        if is_task and (problem := violation(config, _schema(trust.schema))):
            raise UserError(f"{path}: not a task: {problem}")
    if problem := _misshapen(config):
        raise UserError(f"{path}: not a task: {problem}")
    code = [hook.file for hook in _hooks(config)]
    includes = config.pop("include", None) or []
    merged: dict[str, Any] = {}
    files = [path]
    for include in [includes] if isinstance(includes, str) else includes:
        part = read_task(path.parent / include, trust, (*within, path))
        merged |= part.config
        files += part.files
        code += part.code
        if len(files) > MAX_FILES:
            raise UserError(f"{path}: includes more than {MAX_FILES} files")
    return TaskYaml(merged | config, tuple(files), tuple(file for file in code if file.is_file()))


@cache
def _schema(file: Path) -> dict[str, Any]:
    return read_yaml(file)


def _read_trusted(path: Path) -> dict[str, Any]:
    """A YAML of ours or lm-eval's, code and all."""

    class Loader(yaml.SafeLoader):
        """YAML's safe loader that knows lm-eval's one tag of its own."""

    def hook(loader: yaml.SafeLoader, node: Any) -> Hook:
        named = Hook(loader.construct_scalar(node))
        named.folder = path.parent
        return named

    Loader.add_constructor("!function", hook)
    try:
        with open(path, encoding="utf-8") as stream:
            config = yaml.load(stream, Loader=Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable task ({one_line(error)})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: not a task: its top level is not a mapping")
    return config


def _misshapen(config: Mapping[str, Any]) -> str | None:
    """What is wrong with the kinds of those fields of a task that are read here."""

    def texts(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(texts, value.values()))
        return isinstance(value, str) or (isinstance(value, list) and all(map(texts, value)))

    if not isinstance(config.get("metadata") or {}, dict):
        return "its metadata is not a mapping"
    members = config.get("task")
    if isinstance(members, list) and not all(
        isinstance(member, str)
        or (
            isinstance(member, dict)
            and isinstance(member.get("task", member.get("group")), str | list)
        )
        for member in members
    ):
        return "its list of tasks holds something that is not the name of a task"
    kwargs = config.get("dataset_kwargs")
    if isinstance(kwargs, dict) and not texts(kwargs.get("data_files", "")):
        return "its data_files are not names of files"
    return None


def _hooks(value: Any) -> Iterator[Hook]:
    """Every `!function` in a YAML value."""
    if isinstance(value, Hook):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _hooks(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _hooks(entry)
