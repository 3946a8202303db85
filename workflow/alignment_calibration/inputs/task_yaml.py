"""lm-eval's dialect of YAML: a task with what it includes and the code that it names.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alignment_calibration.errors import UserError, one_line


class _Hook(str):
    """What `!function` names: code that lm-eval will import and call."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that knows lm-eval's one tag of its own."""


_Loader.add_constructor(
    "!function",
    lambda loader, node: _Hook(loader.construct_scalar(node)),  # type: ignore[arg-type]
)


@dataclass(frozen=True)
class TaskYaml:
    """A YAML with its includes merged as lm-eval merges them, and every file that took part."""

    config: dict[str, Any]
    files: tuple[Path, ...]
    code: tuple[Path, ...]


def read_task(path: Path, trusted: Sequence[Path], within: tuple[Path, ...] = ()) -> TaskYaml:
    """A task's YAML and what it includes.

    Args:
        path: The file.
        trusted: Folders whose YAMLs may name code.
        within: The files that include it.

    Raises:
        UserError: if it cannot be read, is no task, or names code from outside the trusted folders.
    """
    path = path.resolve()
    if path in within:
        raise UserError(f"{path}: includes itself")
    try:
        with open(path, encoding="utf-8") as stream:
            config = yaml.load(stream, Loader=_Loader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable task ({one_line(error)})") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: not a task: its top level is not a mapping")
    if problem := _misshapen(config):
        raise UserError(f"{path}: not a task: {problem}")
    hooks = list(_hooks(config))
    if hooks and not any(map(path.is_relative_to, trusted)):
        raise UserError(
            f"{path}: '!function {hooks[0]}' names code, which is taken only from the "
            "workflow's and lm-eval's own tasks; write the field as Jinja"
        )
    code = [path.parent / f"{hook.rpartition('.')[0].replace('.', '/')}.py" for hook in hooks]
    includes = config.pop("include", [])
    merged: dict[str, Any] = {}
    files = [path]
    for include in [includes] if isinstance(includes, str) else includes:
        part = read_task(path.parent / include, trusted, (*within, path))
        merged |= part.config
        files += part.files
        code += part.code
    return TaskYaml(merged | config, tuple(files), tuple(file for file in code if file.is_file()))


def _misshapen(config: Mapping[str, Any]) -> str | None:
    """What is wrong with the kinds of those fields of a task that are read here."""

    def texts(value: Any) -> bool:
        if isinstance(value, dict):
            return all(map(texts, value.values()))
        return isinstance(value, str) or (isinstance(value, list) and all(map(texts, value)))

    metadata = config.get("metadata") or {}
    if not isinstance(metadata, dict):
        return "its metadata is not a mapping"
    letters = metadata.get("letters") or {"question": "", "options": ""}
    if not (
        texts(letters) and isinstance(letters, dict) and {"question", "options"} <= set(letters)
    ):
        return "its metadata.letters needs the texts `question` and `options`"
    if not isinstance(metadata.get("based_on") or "", str):
        return "its metadata.based_on is not the name of a task"
    if not texts(config.get("include") or []):
        return "its include is not the path of a file"
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


def _hooks(value: Any) -> Iterator[str]:
    """Every `!function` in a YAML value."""
    if isinstance(value, _Hook):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _hooks(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _hooks(entry)
