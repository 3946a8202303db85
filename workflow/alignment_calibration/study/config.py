"""The config of a study: read strictly, checked against its schema, defaults filled in.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import argparse
import copy
import datetime
import difflib
import graphlib
import json
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from alignment_calibration.errors import UserError, run_cli
from alignment_calibration.files.atomic import one_line
from alignment_calibration.study.vocabulary import PROMPTS, STAGES, prompts_of

Config = dict[str, Any]


#: Most bytes of a config file and most values it may hold once its aliases are written out: far
#: above any study, far below what stalls the workflow.
MAX_BYTES = 1_000_000
MAX_VALUES = 100_000


def load(files: Sequence[str | Path], overrides: Mapping[str, Any], schema: str | Path) -> Config:
    """The config that `files` (later ones win) and `overrides` (`--config`) make together.

    Raises:
        UserError: for unreadable YAML, a key twice, or a config that `check` refuses.
    """
    merged: Config = {}
    for file in files:
        merged = _merge(merged, read_yaml(file))
    sources = [str(file) for file in files]
    if overrides:
        merged = _merge(merged, _plain(overrides, "--config"))
        sources.append("--config")
    return check(merged, read_yaml(schema), source=" with ".join(sources))


def read_yaml(file: str | Path) -> Config:
    """A YAML file whose top level is a mapping, every key of it text and standing only once.

    Raises:
        UserError: naming the file, and the line where it is known.
    """
    try:
        if Path(file).stat().st_size > MAX_BYTES:
            raise UserError(f"{file}: too large for a config; allowed: {MAX_BYTES} bytes")
        with open(file, encoding="utf-8") as stream:
            loader = yaml.SafeLoader(stream)
            root = loader.get_single_node()
            _check_nodes(root, str(file))
            value = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = " ".join((error.problem or error.context or "").split())
        raise UserError(f"{file}, line {line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise UserError(f"{file}: not a config: its values are nested too deeply") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: found {_short(value)}, expected a mapping of keys to values")
    plain: Config = _plain(value, str(file))
    return plain


def _check_nodes(root: yaml.Node | None, file: str) -> None:
    """Refuse keys that stand twice, and aliases that would write out into too much or for ever."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        """Values below a node, aliases written out; 0 while it is being counted."""
        if id(node) in sizes:
            if sizes[id(node)] == 0:
                raise UserError(f"{_place(node, file)}: an alias stands for what contains it")
            return sizes[id(node)]
        sizes[id(node)] = 0
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, file)
            parts = [part for entry in node.value for part in entry]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        total = 1 + sum(map(size, parts))
        if total > MAX_VALUES:
            raise UserError(
                f"{_place(node, file)}: too many values with its aliases written out; "
                f"allowed: {MAX_VALUES}"
            )
        sizes[id(node)] = total
        return total

    if root is not None:
        size(root)


def _check_keys(node: yaml.MappingNode, file: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            found = _shorten(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a collection"
            raise UserError(f"{_place(key, file)}: key {found} is not text; put it in quotes")
        if key.value in seen:
            raise UserError(f"{_place(key, file)}: key {_shorten(key.value)!r} stands twice")
        seen.add(key.value)


def _place(node: yaml.Node, file: str) -> str:
    return f"{file}, line {node.start_mark.line + 1}"


def _plain(value: Any, source: str, path: str = "") -> Any:
    """A copy in the types of JSON, dates as text.

    Raises:
        UserError: for keys that are not text, numbers that are not finite, control characters and
            anything that is neither text, number, truth value, list nor mapping.
    """
    where = f"{source}: {path or 'top level'}"
    match value:
        case None | bool() | int():
            return value
        case str():
            # A letters template is a text of several lines; all else goes into names and paths.
            allowed = "\n\t" if path.startswith("letters.") else ""
            odd = [c for c in value if unicodedata.category(c) in ("Cc", "Cs") and c not in allowed]
            if odd:
                raise UserError(f"{where}: found the control character {odd[0]!r} in a text")
            return value
        case float():
            if not math.isfinite(value):
                raise UserError(f"{where}: found {value}, which is not a finite number")
            return value
        case datetime.date():
            return value.isoformat()
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise UserError(f"{where}: key {_short(key)} is not text; put it in quotes")
                _plain(key, source, f"{path}.key" if path else "key")
            return {k: _plain(v, source, f"{path}.{k}" if path else k) for k, v in value.items()}
        case list() | tuple():
            return [
                _plain(v, source, f"{path}.{i}" if path else f"{i}") for i, v in enumerate(value)
            ]
        case _:
            raise UserError(f"{where}: found a {type(value).__name__}, which no key takes")


def check(config: Config, schema: Mapping[str, Any], source: str) -> Config:
    """A copy of `config` with the schema's defaults, found to be complete and consistent.

    Raises:
        UserError: one line with the key's path, what was found and what is allowed.
    """
    config = copy.deepcopy(config)
    validator = _Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        raise UserError(f"{source}: {_explain(_most_specific(errors[0]))}")
    _fill_defaults(config, schema, schema)
    for task in config["tasks"].values():
        for prompt in PROMPTS:
            names = task.get(prompt)
            task[prompt] = [names] if isinstance(names, str) else names
    for problem in _inconsistencies(config):
        raise UserError(f"{source}: {problem}")
    return config


def _is_integer(checker: jsonschema.TypeChecker, value: Any) -> bool:
    """Without 3.0, which JSON Schema takes for an integer and slices do not."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


def _inconsistencies(config: Config) -> Iterator[str]:
    """What a schema cannot say: names that must be known, things that must be there."""
    if config["study"].lower() in ("published", "readme.md"):
        yield (
            f"study: found {config['study']!r}, a name that results/ has a use for; choose another"
        )
    for section in ("models", "pairs", "tasks", "letters"):
        yield from _alike(section, config[section])
    for name, pair in config["pairs"].items():
        for stage in STAGES:
            if pair[stage] not in config["models"]:
                yield (
                    f"pairs.{name}.{stage}: found {pair[stage]!r}, which is not under models; "
                    f"{_suggest(pair[stage], config['models'])}"
                )
        if pair["base"] == pair["aligned"]:
            yield f"pairs.{name}: base and aligned are the same model, {pair['base']!r}"
    yield from _descent_in_a_circle(config["pairs"])
    prompts = prompts_of(config["methods"])
    for prompt in prompts:
        if not any(task[prompt] for task in config["tasks"].values()):
            yield f"methods: read the {prompt} prompt, which no task has"
    templates = ["block", "line", *config["letters"]]
    for name, task in config["tasks"].items():
        if not any(task[prompt] for prompt in prompts):
            yield (
                f"tasks.{name}: has no {' or '.join(prompts)} prompt, "
                f"which the methods {', '.join(config['methods'])} read"
            )
        if task["num_fewshot"] and task["data"] and "fewshot_file" not in task["data"]:
            yield (
                f"tasks.{name}.data: key 'fewshot_file' is missing, which num_fewshot "
                f"{task['num_fewshot']} needs: the questions' own file would give answers away"
            )
        if task["letters"] not in templates:
            yield (
                f"tasks.{name}.letters: found {task['letters']!r}; allowed: {', '.join(templates)}"
            )


def _alike(section: str, slugs: Iterable[str]) -> Iterator[str]:
    """Slugs that name the same file where the case of letters does not count, as on macOS."""
    seen: dict[str, str] = {}
    for slug in slugs:
        other = seen.setdefault(slug.lower(), slug)
        if other != slug:
            yield f"{section}: {other!r} and {slug!r} differ only in the case of letters"


def _descent_in_a_circle(pairs: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Models that descend from themselves."""
    try:
        descent = graphlib.TopologicalSorter[str]()
        for pair in pairs.values():
            if pair["base"] != pair["aligned"]:
                descent.add(pair["aligned"], pair["base"])
        descent.prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        yield f"pairs: a model descends from itself: {_shorten(' → '.join(circle), 200)}"


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Config:
    """`below` with the keys of `above` in their place, mappings merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _fill_defaults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Put the schema's defaults where `value` (already valid) has no entry."""
    if "$ref" in schema:
        schema = {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}
    if not isinstance(value, dict):
        return
    properties = schema.get("properties", {})
    for key, part in properties.items():
        if key not in value and "default" in part:
            value[key] = json.loads(json.dumps(part["default"]))
    for key, entry in value.items():
        part = properties.get(key, schema.get("additionalProperties"))
        if isinstance(part, Mapping):
            _fill_defaults(entry, part, root)


def _most_specific(error: jsonschema.ValidationError) -> jsonschema.ValidationError:
    """The innermost cause: of the alternatives of a `oneOf`, the one that was meant.

    That is the only one of the right kind (a list, a mapping, …), if there is one.
    """
    while error.context:
        alternatives: Any = error.validator_value
        if all(set(part) == {"required"} for part in alternatives):
            return error
        other_kind = {
            part.schema_path[0]
            for part in error.context
            if not part.path and part.validator in ("type", "const")
        }
        meant = [part for part in error.context if part.schema_path[0] not in other_kind]
        if len({part.schema_path[0] for part in meant}) != 1:
            return error
        error = meant[0]
    return error


def _explain(error: jsonschema.ValidationError) -> str:
    """One line for one violation of the schema."""
    where = ".".join(map(str, error.absolute_path)) or "top level"
    found: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            known = schema["properties"]
            unknown = sorted(set(found) - set(known))[0]
            return f"{where}: unknown key {_shorten(unknown)!r}; {_suggest(unknown, known)}"
        case "required":
            missing = next(key for key in wanted if key not in found)
            return f"{where}: key {missing!r} is missing"
        case "dependentRequired":
            key, needed = next((key, keys) for key, keys in wanted.items() if key in found)
            return f"{where}: key {key!r} is only for a {' and '.join(needed)} model"
        case "oneOf" | "anyOf" if all("required" in part for part in wanted):
            keys = " or ".join(part["required"][0] for part in wanted)
            joined = ", ".join(sorted(found)) or "no key"
            number = "exactly one" if error.validator == "oneOf" else "at least one"
            return f"{where}: found {joined}; needs {number} of {keys}"
        case "oneOf" | "anyOf":
            allowed = " or ".join(_allowed(part) for part in wanted)
        case "minItems" | "minProperties":
            allowed = f"at least {wanted} entry"
        case "uniqueItems":
            allowed = "each entry only once"
        case _:
            allowed = _allowed(schema)
    return f"{where}: found {_short(found)}; allowed: {allowed}"


def _allowed(schema: Mapping[str, Any]) -> str:
    """A value's schema in words."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "title" in schema:  # says in words what the pattern says in signs
        return str(schema["title"])
    kinds = schema.get("type", "value")
    names = {"object": "mapping", "array": "list", "string": "text"}
    words = " or ".join(
        names.get(kind, str(kind)) for kind in (kinds if isinstance(kinds, list) else [kinds])
    )
    limits = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "minLength": "of length ≥",
        "maxLength": "of length ≤",
        "pattern": "that matches",
        "minItems": "with entries ≥",
    }
    bounds = [f"{sign} {schema[key]}" for key, sign in limits.items() if key in schema]
    return " ".join([words, " and ".join(bounds)]).strip()


def _suggest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"allowed: {', '.join(list(known)[:20])}"


def _short(value: Any) -> str:
    return _shorten(json.dumps(value, ensure_ascii=False, default=str))


def _shorten(text: str, length: int = 60) -> str:
    """A text cut to `length`, in which what no screen shows is spelled out."""
    seen = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return seen if len(seen) <= length else seen[: length - 1] + "…"


def main() -> None:
    """Check config files and say where they are wrong.

    Snakemake reads the files of --configfile itself, before the workflow can, and names no line
    of a YAML error.
    """
    parser = argparse.ArgumentParser(
        prog="alignment_calibration.study.config", description=main.__doc__
    )
    parser.add_argument("file", nargs="+", help="merged like those of --configfile: later ones win")
    parser.add_argument("--schema", default="workflow/schemas/config.schema.yaml")
    arguments = parser.parse_args()
    study = load(arguments.file, {}, arguments.schema)
    counts = ", ".join(
        f"{len(study[section])} {section}" for section in ("models", "pairs", "tasks")
    )
    print(f"study {study['study']}: {counts}")


if __name__ == "__main__":
    run_cli(main)
