"""Tasks of lm-eval and of our own: found by name, completed by the config, built by lm-eval.

A task is an lm-eval YAML. Those of the workflow may also say, under `metadata`:

- `based_on`: the lm-eval task whose YAML they complete (lm-eval's `include` takes paths only);
- `letters`: two Jinja expressions over a document, `question` and `options`. The prompt is then
  the template that the config chooses, with the options listed under letters, and the letters are
  what continues it; documents, splits and the right answer's index come from the rest of the YAML.

The result is a complete lm-eval task, which lm-eval itself can run as well. Imported while
Snakemake parses the workflow, so lm-eval is imported only where tasks are built.
"""

import difflib
import importlib.util
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import one_line, write_text

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: Letters prompts after Yang et al. 2024 (arXiv 2308.13111): `block` as in the authors' later
#: library, `line` as in the paper's own code. Jinja over `question`, `options` and `letters`.
TEMPLATES: Final = {
    "block": (
        "Return the label of the correct answer for the question below.\n\n"
        "Question: {{ question }}\nChoices:\n"
        "{% for option in options %}{{ letters[loop.index0] }}) {{ option }}\n{% endfor %}Answer:"
    ),
    "line": (
        "Select one of the choices that answers the following question: {{ question }} Choices:"
        "{% for option in options %} {{ letters[loop.index0] }}. {{ option }}.{% endfor %} Answer:"
    ),
}

#: lm-eval's own default, so that the worked examples are those that lm-eval would draw.
FEWSHOT_SEED: Final = 1234

_GROUP_KEYS = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "include"}


class _Hook(str):
    """What `!function` names: code that lm-eval will import and call."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader that knows lm-eval's one tag of its own."""


_Loader.add_constructor(
    "!function",
    lambda loader, node: _Hook(loader.construct_scalar(node)),  # type: ignore[arg-type]
)


@dataclass(frozen=True)
class Definition:
    """One lm-eval task: the YAML files to include, in order, and what a group overrides."""

    name: str
    files: tuple[Path, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Read:
    """A YAML with its includes merged as lm-eval merges them, and every file that took part."""

    config: dict[str, Any]
    files: tuple[Path, ...]
    code: tuple[Path, ...]


class Library:
    """The task YAMLs that names are looked up in: ours, the user's folders, then lm-eval's.

    Args:
        own: The workflow's folder of tasks. Relative `data_files` in it start at the repository.
        folders: The user's folders; later ones win. `!function` is refused in them.
    """

    def __init__(self, own: Path, folders: Sequence[str | Path] = ()) -> None:
        self.own = own.resolve()
        self.folders = [Path(folder).resolve() for folder in folders]

    @cached_property
    def _index(self) -> dict[str, Path]:
        """Tasks and groups outside lm-eval, by name."""
        index = {}
        for folder in (self.own, *self.folders):
            if not folder.is_dir():
                raise UserError(f"task_folders: found {str(folder)!r}, which is not a folder")
            for path in sorted(folder.rglob("*.yaml")):
                config = self._read(path).config
                name = config.get("group", config.get("task"))
                if isinstance(name, str):
                    index[name] = path
        return index

    def sources(self, names: Iterable[str]) -> list[Path]:
        """Files of ours and the user's that the questions of these tasks depend on.

        YAMLs with what they include, code they name, and local data files. What belongs to
        lm-eval is left out.
        """
        found: set[Path] = set()
        seen: set[str] = set()
        pending = [name for name in names if name in self._index]
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            read = self._read(self._index[name])
            known = {*read.files, *read.code, *_data_files(self._complete(read.config))}
            found |= {path for path in known if not path.is_relative_to(stock_folder())}
            members = read.config.get("task")
            parts = [read.config.get("metadata", {}).get("based_on")]
            parts += members if isinstance(members, list) else []
            names_of_parts = [part["task"] if isinstance(part, dict) else part for part in parts]
            pending += [name for name in names_of_parts if name in self._index]
        return sorted(found)

    def definitions(self, names: Iterable[str]) -> list[Definition]:
        """The tasks that `names` (of tasks, groups or tags) stand for, groups taken apart.

        Raises:
            UserError: for a name that nobody defines, or a task that two names bring in.
        """
        found: dict[str, Definition] = {}
        for name in names:
            try:
                definitions = list(self._expand(name, {}))
            except RecursionError:
                raise UserError(f"the lm-eval task {name!r} is made of itself") from None
            if not definitions:
                raise UserError(f"the lm-eval group {name!r} has no tasks")
            for definition in definitions:
                if definition.name in found:
                    raise UserError(
                        f"the lm-eval task {definition.name!r} comes in twice; name it only once"
                    )
                found[definition.name] = definition
        return list(found.values())

    def config(self, definition: Definition) -> dict[str, Any]:
        """A task's YAMLs merged, with `data_files` made absolute; hooks stay names."""
        merged: dict[str, Any] = {}
        for path in definition.files:
            merged |= self._read(path).config
        return self._complete(merged | dict(definition.overrides))

    def _expand(self, name: str, overrides: Mapping[str, Any]) -> Iterator[Definition]:
        path = self._index.get(name)
        if path is None:
            yield from self._expand_stock(name, overrides)
            return
        yield from self._expand_file(name, path, overrides)

    def _expand_stock(self, name: str, overrides: Mapping[str, Any]) -> Iterator[Definition]:
        path = _stock_file(name)
        if path is not None:
            yield from self._expand_file(name, path, overrides)
            return
        tagged = _stock_tag(name, self._read)
        if not tagged:
            close = difflib.get_close_matches(name, [*self._index, *_stock_names()], n=3)
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
        based_on = config.get("metadata", {}).get("based_on")
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

    def _read(self, path: Path, within: tuple[Path, ...] = ()) -> _Read:
        """A YAML and its includes; `within` are the files that include it.

        Raises:
            UserError: if it cannot be read, is no task, or names code from outside ours and
                lm-eval's folders.
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
        if hooks and not any(map(path.is_relative_to, (self.own, stock_folder()))):
            raise UserError(
                f"{path}: '!function {hooks[0]}' names code, which is taken only from the "
                "workflow's and lm-eval's own tasks; write the field as Jinja"
            )
        code = [path.parent / f"{hook.rpartition('.')[0].replace('.', '/')}.py" for hook in hooks]
        includes = config.pop("include", [])
        merged: dict[str, Any] = {}
        files = [path]
        for include in [includes] if isinstance(includes, str) else includes:
            part = self._read(path.parent / include, (*within, path))
            merged |= part.config
            files += part.files
            code += part.code
        return _Read(merged | config, tuple(files), tuple(file for file in code if file.is_file()))

    def _complete(self, config: dict[str, Any]) -> dict[str, Any]:
        """Relative `data_files` of our own tasks start at the repository, not where one stands."""
        kwargs = config.get("dataset_kwargs")
        if not isinstance(kwargs, dict) or "data_files" not in kwargs:
            return config
        root = self.own.parent.parent

        def absolute(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: absolute(entry) for key, entry in value.items()}
            if isinstance(value, list):
                return [absolute(entry) for entry in value]
            if "://" in value or Path(value).is_absolute():
                return value
            place = root if (root / value).exists() else Path.cwd()
            return str(place / value)

        return config | {"dataset_kwargs": kwargs | {"data_files": absolute(kwargs["data_files"])}}


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


def _data_files(config: Mapping[str, Any]) -> set[Path]:
    """Local data files that a task's YAML names."""

    def paths(value: Any) -> Iterator[Path]:
        if isinstance(value, str):
            yield Path(value)
        else:
            for entry in value.values() if isinstance(value, dict) else value:
                yield from paths(entry)

    kwargs = config.get("dataset_kwargs")
    files = kwargs.get("data_files", []) if isinstance(kwargs, dict) else []
    return {path for path in paths(files) if path.is_file()}


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
def _stock_yamls() -> tuple[Path, ...]:
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


def _stock_file(name: str) -> Path | None:
    """lm-eval's YAML that defines this task or group.

    lm-eval's own index parses all of its 14,000 files; nearly always the file bears the name, and
    where it does not, one line of it does.
    """
    wanted = name.encode()

    def defines(path: Path) -> bool:
        return wanted in re.findall(_DEFINES, _content(path), flags=re.MULTILINE)

    namesakes = [path for path in _stock_yamls() if path.stem.lstrip("_") == name]
    for paths in (namesakes, _stock_yamls()):
        found = next((path for path in paths if path.suffix and defines(path)), None)
        if found is not None:
            return found
    return None


def _stock_tag(name: str, read: Callable[[Path], _Read]) -> list[tuple[str, Path]]:
    """lm-eval's tasks with this tag, by name; a task has the tags of what it includes, too."""
    word = re.compile(rb"""["'\s\[,-]""" + re.escape(name.encode()) + rb"""["'\s\],]""")
    naming = {path.parent for path in _stock_yamls() if word.search(_content(path) + b"\n")}
    found = {}
    for path in _stock_yamls():
        if path.parent in naming and path.suffix == ".yaml":
            try:
                config = read(path).config
            except UserError:  # a form that is not taken here, as a group with tasks written out
                continue
            tags = config.get("tag") or []
            if name in ([tags] if isinstance(tags, str) else tags):
                found[config["task"]] = path
    return sorted(found.items())


def _stock_names() -> list[str]:
    """Names of all tasks and groups of lm-eval, for a suggestion."""
    return [
        match.decode()
        for path in _stock_yamls()
        for match in re.findall(_DEFINES, _content(path), flags=re.MULTILINE)
    ]


def build(
    library: Library,
    definition: Definition,
    *,
    scratch: Path,
    num_fewshot: int,
    letters: str,
    data: Mapping[str, str] | None,
) -> Any:
    """The `lm_eval.api.task.ConfigurableTask` of a definition, completed as the config wants it.

    Args:
        library: Where the definition was found.
        definition: The task.
        scratch: Folder for the generated YAML and for data sets read from local files; the task
            reads from it for as long as it lives.
        num_fewshot: Worked examples before each question.
        letters: Jinja text of the letters prompt, for tasks with `metadata: letters`.
        data: `format` (json or parquet) and `file` to read in place of the task's data set, and
            `fewshot_file` for the worked examples; `{subset}` in a file's name stands for the
            task's `dataset_name`.

    Raises:
        UserError: if the data set cannot be had, or does not fit the task.
    """
    from lm_eval.tasks import TaskManager

    _prepare_templates()
    name = definition.name
    folder = scratch / name
    fields = _completed_fields(
        library, definition, folder / "cache", num_fewshot=num_fewshot, letters=letters, data=data
    )
    include = [str(path) for path in definition.files]
    text = yaml.safe_dump({"include": include, **fields}, allow_unicode=True)
    write_text(folder / f"{name}.yaml", text)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    try:
        task = manager.load([name])["tasks"][name]
    except IndexError:
        raise UserError(
            f"{name}: it has no questions, or its first question has an option that is an empty "
            "string or a gold answer out of range"
        ) from None
    # lm-eval, datasets and Jinja raise whatever comes to hand.
    except Exception as error:
        hint = "" if data else "; without a network, name local files under `data`"
        raise UserError(
            f"{name}: lm-eval cannot load it ({type(error).__name__}: {one_line(error)}){hint}"
        ) from None
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def _prepare_templates() -> None:
    """Make lm-eval fill its templates in Jinja's sandbox: as it comes, a template in a config or a
    task YAML could run any code. And keep them compiled: lm-eval compiles a task's texts anew for
    every document, which takes most of the time of this step.
    """
    import lm_eval.utils
    from jinja2.sandbox import SandboxedEnvironment

    env = lm_eval.utils.env
    if isinstance(env, SandboxedEnvironment):
        return
    sandbox = SandboxedEnvironment(
        loader=env.loader, undefined=env.undefined, keep_trailing_newline=True
    )
    sandbox.filters = env.filters
    sandbox.from_string = lru_cache(maxsize=100)(sandbox.from_string)  # type: ignore
    lm_eval.utils.env = sandbox


def _completed_fields(
    library: Library,
    definition: Definition,
    cache_folder: Path,
    *,
    num_fewshot: int,
    letters: str,
    data: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The fields that the config adds to a task's YAMLs, or changes."""
    config = library.config(definition)
    fields: dict[str, Any] = dict(definition.overrides)
    fields |= {"task": definition.name, "num_fewshot": num_fewshot}
    expressions = (config.get("metadata") or {}).get("letters")
    if expressions:
        fields |= letters_prompt(expressions, letters)
    if data is not None:
        fields |= _local_data(config, data, num_fewshot)
    elif "dataset_kwargs" in config:
        fields["dataset_kwargs"] = config["dataset_kwargs"]
    kwargs = fields.get("dataset_kwargs") or {}
    if "data_files" in kwargs:
        # Cached with the questions' other scratch files: nothing of it outlives the step, and an
        # edited file is never taken for the one read before.
        fields["dataset_kwargs"] = kwargs | {"cache_dir": str(cache_folder)}
    return fields


def letters_prompt(expressions: Mapping[str, str], template: str) -> dict[str, Any]:
    """The fields of an lm-eval task that put a question with its options listed under letters.

    Args:
        expressions: Jinja expressions over a document: `question`, a text, and `options`, a list.
        template: Jinja text over `question`, `options` and `letters`.
    """
    question, options = expressions["question"], expressions["options"]
    arguments = f"({question}), ({options}), {LETTERS!r}"
    return {
        "doc_to_text": (
            "{% macro letters_prompt(question, options, letters) %}"
            + template
            + "{% endmacro %}{{ letters_prompt("
            + arguments
            + ") }}"
        ),
        "doc_to_choice": f"{{{{ {LETTERS!r}[:({options}) | length] | list }}}}",
        "target_delimiter": " ",
        "should_decontaminate": False,
    }


def _local_data(
    config: Mapping[str, Any], data: Mapping[str, str], num_fewshot: int
) -> dict[str, Any]:
    """The fields of an lm-eval task that make it read local files."""
    subset = str(config.get("dataset_name") or "")

    def place(name: str) -> str:
        path = Path(name.replace("{subset}", subset)).absolute()
        if not path.is_file():
            raise UserError(f"data.file: there is no file {path}")
        return str(path)

    files = {"test": place(data["file"])}
    fields: dict[str, Any] = {
        "dataset_path": data["format"],
        "dataset_name": None,
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
        "fewshot_split": None,
    }
    fewshot = config.get("fewshot_config") or {}
    if "split" in fewshot:
        fields["fewshot_config"] = {k: v for k, v in fewshot.items() if k != "split"}
    if num_fewshot:
        files["fewshot"] = place(data["fewshot_file"])
        fields["fewshot_split"] = "fewshot"
    return fields | {"dataset_kwargs": {"data_files": files}}
