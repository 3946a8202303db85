"""The config of a study: read strictly, checked against its schema, defaults filled in.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from alignment_calibration.errors import UserError
from alignment_calibration.files import one_line

Config = dict[str, Any]


class _StrictLoader(yaml.SafeLoader):
    """YAML's safe loader, except that a key may stand only once in a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                line = key_node.start_mark.line + 1
                raise UserError(f"{node.start_mark.name}, line {line}: key {key!r} stands twice")
            seen.add(str(key))
        return super().construct_mapping(node, deep=deep)


def load(files: Sequence[str | Path], overrides: Mapping[str, Any], schema: str | Path) -> Config:
    """The config that `files` (later ones win) and `overrides` (`--config`) make together.

    Raises:
        UserError: for unreadable YAML, a key twice, or a config that `check` refuses.
    """
    merged: Config = {}
    for file in files:
        merged = _merge(merged, read_yaml(file))
    merged = _merge(merged, overrides)
    return check(merged, read_yaml(schema), source=", ".join(str(file) for file in files))


def read_yaml(file: str | Path) -> Config:
    """A YAML file whose top level is a mapping.

    Raises:
        UserError: naming the file, and the line where it is known.
    """
    try:
        with open(file, encoding="utf-8") as stream:
            value = yaml.load(stream, Loader=_StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise UserError(f"{file}, line {line}: not valid YAML: {error.problem}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: found {_short(value)}, expected a mapping of keys to values")
    return value


def check(config: Config, schema: Mapping[str, Any], source: str) -> Config:
    """A copy of `config` with the schema's defaults, found to be complete and consistent.

    Raises:
        UserError: one line with the key's path, what was found and what is allowed.
    """
    config = json.loads(json.dumps(config, default=str))
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda error: list(map(str, error.path)))
    if errors:
        raise UserError(f"{source}: {_explain(_most_specific(errors[0]))}")
    _fill_defaults(config, schema, schema)
    for task in config["tasks"].values():
        for prompt in ("continuation", "choice"):
            names = task.get(prompt)
            task[prompt] = [names] if isinstance(names, str) else names
    for problem in _inconsistencies(config):
        raise UserError(f"{source}: {problem}")
    return config


def _inconsistencies(config: Config) -> Iterator[str]:
    """What a schema cannot say: names that must be known, things that must be there."""
    if config["study"] == "published":
        yield "study: found 'published', the study of the published numbers; choose another slug"
    for name, pair in config["pairs"].items():
        for stage in ("base", "aligned"):
            if pair[stage] not in config["models"]:
                yield (
                    f"pairs.{name}.{stage}: found {pair[stage]!r}, which is not under models; "
                    f"{_suggest(pair[stage], config['models'])}"
                )
        if pair["base"] == pair["aligned"]:
            yield f"pairs.{name}: base and aligned are the same model, {pair['base']!r}"
    prompts = {"choice" if method == "choice" else "continuation" for method in config["methods"]}
    templates = ["block", "line", *config["letters"]]
    for name, task in config["tasks"].items():
        if not any(task[prompt] for prompt in prompts):
            yield (
                f"tasks.{name}: has no {' or '.join(sorted(prompts))} prompt, "
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
    """The innermost cause: of the alternatives of a `oneOf`, the one that came furthest."""
    while error.context:
        deepest = max(len(part.path) for part in error.context)
        if deepest == 0 and error.validator in ("oneOf", "anyOf"):
            return error
        error = next(part for part in error.context if len(part.path) == deepest)
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
            return f"{where}: unknown key {unknown!r}; {_suggest(unknown, known)}"
        case "required":
            missing = next(key for key in wanted if key not in found)
            return f"{where}: key {missing!r} is missing"
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
    kinds = schema.get("type", "value")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
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
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
