"""What is wrong with a value, in words: the violation of a JSON schema as one line.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import difflib
import json
from collections.abc import Mapping
from typing import Any

import jsonschema

from alignment_calibration.errors import shorten, shown


def violation(value: Any, schema: Mapping[str, Any]) -> str | None:
    """The first violation of a schema: the key's path, what was found there, what is allowed."""
    errors = _Validator(schema).iter_errors(value)
    first = min(errors, key=lambda error: list(map(str, error.path)), default=None)
    return None if first is None else _explain(_most_specific(first), schema)


def _is_integer(checker: jsonschema.TypeChecker, value: Any) -> bool:
    """Without 3.0, which JSON Schema takes for an integer and slices do not."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


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


def followed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the schema `root`, with what it refers to."""
    if "$ref" not in schema:
        return schema
    return {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}


def _explain(error: jsonschema.ValidationError, root: Mapping[str, Any]) -> str:
    """One line for one violation of the schema `root`."""
    where = ".".join(map(str, error.absolute_path)) or "top level"
    found: Any = error.instance
    wanted: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "additionalProperties":
            known = schema["properties"]
            unknown = sorted(set(found) - set(known))[0]
            return f"{where}: unknown key {shorten(unknown)!r}; {suggest(unknown, known)}"
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
            allowed = " or ".join(_allowed(followed(part, root)) for part in wanted)
        case "minItems" | "minProperties":
            allowed = f"at least {wanted} {'entry' if wanted == 1 else 'entries'}"
        case "uniqueItems":
            allowed = "each entry only once"
        case _:
            allowed = _allowed(schema)
    return f"{where}: found {shown(found)}; allowed: {allowed}"


def _allowed(schema: Mapping[str, Any]) -> str:
    """A value's schema in words."""
    if "title" in schema:  # says in words what the pattern says in signs
        return str(schema["title"])
    if "enum" in schema:
        return ", ".join(map(_word, schema["enum"]))
    if "const" in schema:
        return _word(schema["const"])
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


def _word(value: Any) -> str:
    """An allowed value as one writes it in YAML."""
    return value if isinstance(value, str) else json.dumps(value)


def suggest(word: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"allowed: {', '.join(list(known)[:20])}"
