"""Reading and writing of the files of the contract: whole or not at all."""

import contextlib
import glob
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alignment_calibration.errors import UserError, one_line


def canonical_json(value: Any, sort_keys: bool = True) -> str:
    """One string per value: sorted keys, no spaces, no NaN; `<` is spelled out.

    Snakemake's report has the params of its jobs in an inline script, where `</script>` is the end.

    Args:
        value: of which text is made.
        sort_keys: False keeps the order of keys, for those who are told in it.
    """
    text = json.dumps(
        value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.replace("<", "\\u003c")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which becomes `path` when the block ends well.

    The name is unique to this process, so two runs never write into the same file; after an
    error nothing of it is left, and what a killed process left is removed by the next that
    writes `path` on the same machine.

    Raises:
        UserError: if the disk is full, the folder read-only or the like.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}.{platform.node()}."
        _remove_abandoned(path.parent, prefix)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f"{prefix}{os.getpid()}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({one_line(error)})") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path, prefix: str) -> None:
    """Remove files named prefix, process, and more, of processes that are no longer there."""
    for file in folder.glob(f"{glob.escape(prefix)}*"):
        process = file.name.removeprefix(prefix).partition(".")[0]
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)
        except (PermissionError, ValueError):  # somebody else's, or no file of ours
            continue


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON for people and programs: sorted keys, two spaces, a final newline."""
    text = json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: if the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({one_line(error)})") from None
