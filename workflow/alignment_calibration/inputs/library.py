"""Tasks of lm-eval and of our own, found by name and taken apart.

A task is an lm-eval YAML. Those of the workflow may also say, under `metadata`:

- `based_on`: the lm-eval task whose YAML they complete (lm-eval's `include` takes paths only);
- `letters`: two Jinja expressions over a document, `question` and `options`. The prompt is then
  the template that the config chooses, with the options listed under letters, and the letters are
  what continues it; documents, splits and the right answer's index come from the rest of the YAML.

The result is a complete lm-eval task, which lm-eval itself can run as well. Imported while
Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import difflib
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.stock_tasks import (
    stock_file,
    stock_folder,
    stock_names,
    stock_tag,
)
from alignment_calibration.inputs.task_yaml import TaskYaml, Trust, read_task

#: Most files and folders below a folder of the user's: above any collection of tasks, below /proc.
MAX_ENTRIES = 10_000

#: What `dataset_path` names where it is no repository of the hub.
FORMATS = ("json", "csv", "parquet", "text", "arrow")

_GROUP_KEYS = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "include"}


@dataclass(frozen=True)
class Definition:
    """One lm-eval task: the YAML files to include, in order, and what a group overrides."""

    name: str
    files: tuple[Path, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


class Library:
    """The task YAMLs that names are looked up in: ours, the user's folders, then lm-eval's.

    Args:
        own: The workflow's folder of tasks, beside that of the schemas. Relative `data_files` in it
            start at the repository, in all others at the folder of the YAML.
        folders: The user's folders; later ones win. Their YAMLs are data and never code.
    """

    def __init__(self, own: Path, folders: Sequence[str | Path] = ()) -> None:
        self.own = own.resolve()
        self.folders = [Path(folder).absolute() for folder in folders]

    @cached_property
    def _trust(self) -> Trust:
        # Not before a task is looked for: a study of samples does without lm-eval.
        return Trust((self.own, stock_folder()), self.own.parent / "schemas" / "task.schema.yaml")

    def _read(self, path: Path) -> TaskYaml:
        return read_task(path, self._trust)

    @cached_property
    def _index(self) -> dict[str, Path]:
        """Tasks and groups outside lm-eval, by name."""
        index = {}
        for folder in (self.own, *self.folders):
            for path in _yamls(folder):
                config = self._read(path).config
                name = config.get("group", config.get("task"))
                if isinstance(name, str):
                    index[name] = path
        return index

    def sources(self, names: Iterable[str]) -> list[Path]:
        """Files and folders that the questions of these tasks depend on.

        YAMLs with what they include, code they name, and local data files; and, if a task is
        lm-eval's or builds on one, its whole folder of tasks: it takes long to find out which of
        them.
        """
        found: set[Path] = set()
        seen: set[str] = set()
        pending = list(names)
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if name not in self._index:
                found.add(stock_folder())
                continue
            read = self._read(self._index[name])
            config = self._placed(read.config, self._index[name])
            data = filter(Path.is_file, _data_files(config))
            known = {*read.files, *read.code, *data}
            stock = stock_folder()
            found |= {stock if path.is_relative_to(stock) else path for path in known}
            pending += filter(None, [_based_on(read.config), *_members(read.config)])
        return sorted(found)

    def definitions(self, names: Iterable[str]) -> list[Definition]:
        """The tasks that `names` (of tasks, groups or tags) stand for, groups taken apart.

        Raises:
            UserError: for a name that nobody defines, or a task that two names bring in.
        """
        found: dict[str, Definition] = {}
        for name in names:
            before = len(found)
            try:
                # One by one: groups of groups can be more than there is time to take apart.
                for definition in self._expand(name, {}):
                    if definition.name in found:
                        raise UserError(
                            f"the lm-eval task {definition.name!r} comes in twice; "
                            "name it only once"
                        )
                    found[definition.name] = definition
            except RecursionError:
                raise UserError(f"the lm-eval task {name!r} is made of itself") from None
            if len(found) == before:
                raise UserError(f"the lm-eval group {name!r} has no tasks")
        return list(found.values())

    def check(self, names: Iterable[str], data: Mapping[str, str] | None) -> None:
        """Find the tasks that `names` stand for, and the local files that they read.

        Args:
            names: of tasks, groups or tags.
            data: the files that the config names in place of the tasks' own.

        Raises:
            UserError: as `definitions`, and for a data file that is missing.
        """
        for definition in self.definitions(names):
            config = self.config(definition)
            if data:
                subset = str(config.get("dataset_name") or "")
                keys = [key for key in ("file", "fewshot_file") if key in data]
                files = [(f"data.{key}", data[key].replace("{subset}", subset)) for key in keys]
            else:
                key = f"{definition.name}: data_files"
                files = [(key, str(path)) for path in sorted(_data_files(config))]
            for key, path in files:
                if not Path(path).is_file() and not glob.glob(path):
                    raise UserError(f"{key}: there is no file {os.path.abspath(path)}")

    def config(self, definition: Definition) -> dict[str, Any]:
        """A task's YAMLs merged, with `data_files` made absolute; hooks stay names."""
        merged: dict[str, Any] = {}
        for path in definition.files:
            merged |= self._read(path).config
            merged = self._placed(merged, path)
        return self._placed(merged | dict(definition.overrides), definition.files[-1])

    def _expand(self, name: str, overrides: Mapping[str, Any]) -> Iterator[Definition]:
        path = self._index.get(name)
        if path is None:
            yield from self._expand_stock(name, overrides)
            return
        yield from self._expand_file(name, path, overrides)

    def _expand_stock(self, name: str, overrides: Mapping[str, Any]) -> Iterator[Definition]:
        path = stock_file(name)
        if path is not None:
            yield from self._expand_file(name, path, overrides)
            return
        tagged = stock_tag(name, self._trust)
        if not tagged:
            close = difflib.get_close_matches(name, [*self._index, *stock_names()], n=3)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "see `lm-eval ls`"
            raise UserError(f"lm-eval knows no task {name!r}, nor is it in a task folder; {hint}")
        for task, path in tagged:
            yield Definition(task, (path,), overrides)

    def _expand_file(
        self, name: str, path: Path, overrides: Mapping[str, Any]
    ) -> Iterator[Definition]:
        config = self._read(path).config
        if "group" in config or isinstance(config.get("task"), list):
            yield from self._expand_members(config, overrides)
            return
        based_on = _based_on(config)
        files: tuple[Path, ...] = (path,)
        if based_on:
            (base,) = self._expand(based_on, {})
            files = (*base.files, path)
        yield Definition(name, files, overrides)

    def _expand_members(
        self, group: Mapping[str, Any], overrides: Mapping[str, Any]
    ) -> Iterator[Definition]:
        """The tasks of a group, nested groups included; as in lm-eval, inner settings win."""
        shared = {k: v for k, v in group.items() if k not in _GROUP_KEYS} | dict(overrides)
        for member in group["task"]:
            if isinstance(member, str):
                yield from self._expand(member, shared)
            elif isinstance(member.get("task"), list):
                yield from self._expand_members(member, shared)
            else:
                name = member.get("task", member.get("group"))
                own = {k: v for k, v in member.items() if k not in _GROUP_KEYS}
                yield from self._expand(name, shared | own)

    def _placed(self, config: dict[str, Any], file: Path) -> dict[str, Any]:
        """Local `data_files` made absolute: in a YAML they start at its folder, in our own at the
        repository.
        """
        if not _reads_files(config):
            return config
        kwargs = config["dataset_kwargs"]
        ours = file.resolve().is_relative_to(self.own)
        folder = self.own.parent.parent if ours else file.absolute().parent

        def absolute(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: absolute(entry) for key, entry in value.items()}
            if isinstance(value, list):
                return [absolute(entry) for entry in value]
            return value if "://" in value else str(folder / value)

        return config | {"dataset_kwargs": kwargs | {"data_files": absolute(kwargs["data_files"])}}


def _yamls(folder: Path) -> list[Path]:
    """The YAML files in a folder and below it, sorted."""
    if not folder.is_dir():
        raise UserError(f"task_folders: found {str(folder)!r}, which is not a folder")
    found: list[Path] = []
    entries = 0
    for place, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        if entries > MAX_ENTRIES:
            raise UserError(
                f"task_folders: {folder} holds more than {MAX_ENTRIES} files and folders; "
                "name the folder of the tasks alone"
            )
        found += [Path(place, name) for name in files if name.endswith(".yaml")]
    return sorted(found)


def _based_on(config: Mapping[str, Any]) -> str | None:
    """The task that a YAML completes."""
    name: str | None = (config.get("metadata") or {}).get("based_on")
    return name


def _members(group: Mapping[str, Any]) -> Iterator[str]:
    """Names of the members of a group, groups written out within it included; none for a task."""
    members = group.get("task")
    for member in members if isinstance(members, list) else []:
        if isinstance(member, str):
            yield member
        elif isinstance(member.get("task"), list):
            yield from _members(member)
        else:
            yield member.get("task", member.get("group"))


def _reads_files(config: Mapping[str, Any]) -> bool:
    """Whether a task's `data_files` are on this machine, and not in a repository of the hub."""
    kwargs = config.get("dataset_kwargs")
    named = isinstance(kwargs, Mapping) and "data_files" in kwargs
    return named and config.get("dataset_path", FORMATS[0]) in FORMATS


def _data_files(config: Mapping[str, Any]) -> set[Path]:
    """Local data files that a task's YAML names, whether they are there or not."""

    def paths(value: Any) -> Iterator[Path]:
        if isinstance(value, str):
            if "://" not in value:
                yield Path(value)
        else:
            for entry in value.values() if isinstance(value, dict) else value:
                yield from paths(entry)

    return set(paths(config["dataset_kwargs"]["data_files"])) if _reads_files(config) else set()
