"""The code of a step, which is one of its inputs: what its script imports of the package.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

#: The folder that the package lies in.
_ABOVE = Path(__file__).parents[2]
_PACKAGE = Path(__file__).parents[1].name


def imported_code(entry: Path) -> list[Path]:
    """A Python file and all modules of the package that it imports, directly or by others.

    Imports within functions count too, wherever they stand: what a step may run decides what it
    makes. A package's `__init__.py` is imported with any of its modules.

    Args:
        entry: the step's script, or the module that it runs.

    Returns:
        Paths, sorted.
    """
    found: set[Path] = set()
    pending = [entry.resolve()]
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            pending += _imports(file)
    return sorted(found)


def digest_of_code(*entries: Path) -> str:
    """A hexadecimal digest of the contents of `imported_code`, which changes with any of them."""
    digest = hashlib.sha256()
    for file in sorted({file for entry in entries for file in imported_code(entry)}):
        digest.update(_digest(file))
    return digest.hexdigest()[:16]


@cache
def _digest(file: Path) -> bytes:
    """Digest of a file's place in the package and of its content."""
    place = "/".join(file.parts[-3:]).encode()
    return hashlib.sha256(place + b"\0" + file.read_bytes()).digest()


@cache
def _imports(file: Path) -> list[Path]:
    """The files of the package that one file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            # What is imported from a package may be a module of it.
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return [path for name in names for path in _files(name)]


def _files(module: str) -> list[Path]:
    """The files that are run when a module of the package is imported; none for other names."""
    parts = module.split(".")
    if parts[0] != _PACKAGE:
        return []
    folders = [_ABOVE.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    files = [folder / "__init__.py" for folder in folders]
    files.append(folders[-1].with_suffix(".py"))
    return [file for file in files if file.is_file()]
