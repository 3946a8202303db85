"""YAML read strictly: small, plain values, every key text and standing only once.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import datetime
import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from alignment_calibration.errors import UserError, one_line, shorten, shown

#: Most bytes of a config file and most values it may hold once its aliases are written out: far
#: above any study, far below what stalls the workflow.
MAX_BYTES = 1_000_000
MAX_VALUES = 100_000


def read_yaml(file: str | Path) -> dict[str, Any]:
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
        raise UserError(f"{file}: found {shown(value)}, expected a mapping of keys to values")
    checked: dict[str, Any] = plain(value, str(file))
    return checked


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
            found = shorten(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a collection"
            raise UserError(f"{_place(key, file)}: key {found} is not text; put it in quotes")
        if key.value in seen:
            raise UserError(f"{_place(key, file)}: key {shorten(key.value)!r} stands twice")
        seen.add(key.value)


def _place(node: yaml.Node, file: str) -> str:
    return f"{file}, line {node.start_mark.line + 1}"


def plain(value: Any, source: str, path: str = "") -> Any:
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
                    raise UserError(f"{where}: key {shown(key)} is not text; put it in quotes")
                plain(key, source, f"{path}.key" if path else "key")
            return {k: plain(v, source, f"{path}.{k}" if path else k) for k, v in value.items()}
        case list() | tuple():
            return [
                plain(v, source, f"{path}.{i}" if path else f"{i}") for i, v in enumerate(value)
            ]
        case _:
            raise UserError(f"{where}: found a {type(value).__name__}, which no key takes")
