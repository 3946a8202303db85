"""YAML read strictly: small, plain values, no tags, every key text and standing only once.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import datetime
import itertools
import math
import os
import re
import stat
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from alignment_calibration.errors import UserError, one_line, shorten, shown

#: Most bytes of a file and most values it may hold once its aliases are written out: far above any
#: study, far below what stalls the workflow.
MAX_BYTES = 200_000
MAX_VALUES = 100_000
#: Most brackets that are open at once: the parser takes seconds over thousands before it gives up.
MAX_OPEN = 200

_YAML = "tag:yaml.org,2002:"
_PLAIN = {
    f"{_YAML}{kind}"
    for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map", "merge")
}


def read_yaml(file: str | Path, multiline: str = "letters.") -> dict[str, Any]:
    """A YAML file whose top level is a mapping, in the types of JSON, dates as text.

    Args:
        file: a regular file.
        multiline: how the paths of those texts begin that may hold several lines; in a config these
            are the letters templates, while all else goes into names and paths.

    Raises:
        UserError: naming the file, and the line where it is known.
    """
    try:
        loader = yaml.SafeLoader(_text_of(file))
        root = loader.get_single_node()
        _check_nodes(root, str(file))
        value = loader.construct_document(root) if root else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = one_line(error.problem or error.context or "")
        raise UserError(f"{file}, line {line}: not valid YAML: {problem}") from None
    except RecursionError:
        raise UserError(f"{file}: its values are nested too deeply") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read ({one_line(error)})") from None
    if not isinstance(value, dict):
        raise UserError(f"{file}: found {shown(value)}, expected a mapping of keys to values")
    checked: dict[str, Any] = plain(value, str(file), multiline)
    return checked


def _text_of(file: str | Path) -> str:
    """The text of a regular file: a pipe or a device might never end, or never begin."""

    def open_at_once(path: str, flags: int) -> int:
        return os.open(path, flags | os.O_NONBLOCK)

    with open(file, "rb", opener=open_at_once) as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise UserError(f"{file}: not a regular file")
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UserError(f"{file}: too large; allowed: {MAX_BYTES} bytes")
    brackets = re.findall(rb"[\[\]{}]", content)
    if max(itertools.accumulate(1 if b in b"[{" else -1 for b in brackets), default=0) > MAX_OPEN:
        raise UserError(f"{file}: its values are nested too deeply")
    return content.decode("utf-8-sig")


def _check_nodes(root: yaml.Node | None, file: str) -> None:
    """Refuse what YAML can say and JSON cannot, and aliases that would write out into too much or
    for ever.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        """Values below a node, aliases written out; 0 while it is being counted."""
        if id(node) in sizes:
            if sizes[id(node)] == 0:
                raise UserError(f"{_place(node, file)}: an alias stands for what contains it")
            return sizes[id(node)]
        sizes[id(node)] = 0
        _check_tag(node, file)
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


def _check_tag(node: yaml.Node, file: str) -> None:
    """Refuse tags that make anything but plain values, and numbers that are not what they seem."""
    if node.tag not in _PLAIN:
        tag = shorten(node.tag.replace(_YAML, "!!"))
        raise UserError(f"{_place(node, file)}: the tag {tag} is not taken; write plain values")
    # In YAML 1.1, 010 is 8, 1:30 is 90 and 0x1F is 31.
    decimal = {f"{_YAML}int": r"[-+]?(0|[1-9][0-9]*)", f"{_YAML}float": r"[^:_]*"}
    if node.tag in decimal and not re.fullmatch(decimal[node.tag], node.value):
        raise UserError(
            f"{_place(node, file)}: found {shorten(node.value)}, which YAML does not read as it "
            "looks; write a decimal number, or quotes around a text"
        )


def _check_keys(node: yaml.MappingNode, file: str) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag == f"{_YAML}merge":
            continue
        _check_tag(key, file)
        if key.tag != f"{_YAML}str":
            found = shorten(str(key.value)) if isinstance(key, yaml.ScalarNode) else "a collection"
            raise UserError(f"{_place(key, file)}: key {found} is not text; put it in quotes")
        if key.value in seen:
            raise UserError(f"{_place(key, file)}: key {shorten(key.value)!r} stands twice")
        seen.add(key.value)


def _place(node: yaml.Node, file: str) -> str:
    return f"{file}, line {node.start_mark.line + 1}"


def plain(value: Any, source: str, multiline: str = "letters.", path: str = "") -> Any:
    """A copy in the types of JSON, dates as text.

    Args:
        value: of a YAML file or of the command line.
        source: where it comes from, for errors.
        multiline: as in `read_yaml`.
        path: the keys that lead to it.

    Raises:
        UserError: for keys that are not text, numbers that are not finite, control characters and
            anything that is neither text, number, truth value, list nor mapping.
    """
    where = f"{source}: {shorten(path, 100) or 'top level'}"

    def below(key: Any, entry: Any) -> Any:
        return plain(entry, source, multiline, f"{path}.{key}" if path else f"{key}")

    match value:
        case None | bool() | int():
            return value
        case str():
            allowed = "\n\t" if path.startswith(multiline) else ""
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
                plain(key, source, "no key", f"{path}.key" if path else "key")
            return {key: below(key, entry) for key, entry in value.items()}
        case list() | tuple():
            return [below(number, entry) for number, entry in enumerate(value)]
        case _:
            raise UserError(f"{where}: found a {type(value).__name__}, which no key takes")
