"""Whether files may have changed, told without reading them.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def fingerprint(files: Iterable[str | Path]) -> str:
    """A short text that changes whenever one of the files is written, replaced or moved.

    It is made of names, sizes, dates of content and of status, and inodes: a file replaced by one
    of the same size and date, or by an older one, has another inode or date of status. So it may
    change although no content did (a copy, a `touch`), but hardly the other way round.

    Args:
        files: those that are missing count as such.
    """
    parts = []
    for file in sorted(map(str, files)):
        found: tuple[int, ...] = ()
        with suppress(OSError):
            status = os.stat(file)
            found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        parts.append(f"{file} {found}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
