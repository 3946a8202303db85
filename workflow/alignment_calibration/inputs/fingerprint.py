"""Whether files may have changed, told without reading them.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path


def fingerprint(files: Iterable[str | Path]) -> str:
    """A short text that changes whenever one of the files is written, replaced or moved.

    It is made of names, sizes, dates of content and of status, and inodes: a file replaced by one
    of the same size and date, or by an older one, has another inode or date of status. So it may
    change although no content did (a copy, a `touch`), but hardly the other way round.

    Args:
        files: those that are missing count as such, folders with all files in them (looked at once
            per process), but what Python has compiled.
    """
    parts = [_of_folder(file) if os.path.isdir(file) else _of_file(file) for file in files]
    return _digest(parts)


@cache
def _of_folder(folder: str | Path) -> str:
    within = (os.path.join(place, name) for place, _, names in os.walk(folder) for name in names)
    return f"{folder} {_digest(_of_file(file) for file in within if not file.endswith('.pyc'))}"


def _of_file(file: str | Path) -> str:
    with suppress(OSError):
        status = os.stat(file)
        return f"{file} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
    return f"{file} missing"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:16]
