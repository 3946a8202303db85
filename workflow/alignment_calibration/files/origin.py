"""What a result file was made from: the config that decides it, and the files it was made of.

A step writes it into the metadata of each Parquet file, and compares it in each that it reads. So
old numbers end in an error whatever Snakemake takes for done: after `--touch`, with
`--rerun-triggers mtime`, with records of another run.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import canonical_json, sha256

#: Keys of a Parquet file's metadata: SHA-256 of its values, and its `Origin`.
DIGEST_KEY = b"content_sha256"
_ORIGIN_KEY = b"made_from"


@dataclass(frozen=True)
class Origin:
    """What the files of a step are made from.

    Attributes:
        config: digest of what decides them of the config, all steps before included.
        given: that digest for each file that the step reads, or for the folder it lies in.
        inputs: digest of the content of each file that the step reads.
        checked: files that the step has found to be made from what there is.
    """

    config: str
    given: Mapping[str, str]
    inputs: Mapping[str, str]
    checked: set[str] = field(default_factory=set)


_ORIGIN: ContextVar[Origin | None] = ContextVar("_ORIGIN", default=None)


@contextlib.contextmanager
def made_from(stated: str, inputs: Iterable[str] = ()) -> Iterator[None]:
    """Parquet files written in this block say that they were made from this, those read are held
    against it.

    Args:
        stated: JSON of `config` and `given`: what the config says now.
        inputs: files that the step reads; those of results count, Parquet and JSON.
    """
    digests = {
        path: _digest(path)
        for path in map(str, inputs)
        if path.endswith((".parquet", ".json")) and Path(path).is_file()
    }
    token = _ORIGIN.set(Origin(**json.loads(stated), inputs=digests))
    try:
        yield
    finally:
        _ORIGIN.reset(token)


def origin_metadata() -> dict[bytes, bytes]:
    """The entry for the metadata of a file that is written now."""
    origin = _ORIGIN.get()
    if origin is None:
        return {}
    noted = {"config": origin.config, "inputs": origin.inputs}
    return {_ORIGIN_KEY: canonical_json(noted).encode()}


def check_origin(path: str | Path) -> None:
    """Compare a file with what its reader's step was told, and with the files it was made of.

    Raises:
        UserError: if it was made under another config or from other files than there are.
    """
    reader = _ORIGIN.get()
    if reader is None:
        return
    expected = reader.given.get(str(path)) or reader.given.get(str(Path(path).parent))
    found = _origin(path)
    mend = "the same snakemake command with --forceall makes it again, and scores nothing again"
    if expected is not None and (found is None or found["config"] != expected):
        raise UserError(f"{path}: was made under another config than this; {mend}")
    if changed := _changed_input(str(path), reader.checked):
        raise UserError(f"{path}: was not made from {changed} as it is now; {mend}")


def _changed_input(path: str, checked: set[str]) -> str | None:
    """The first of the files that a file was made of, and those of, that has changed since."""
    if path in checked:
        return None
    origin = _origin(path)
    for made_of, digest in (origin["inputs"] if origin else {}).items():
        if not Path(made_of).is_file():
            continue  # it says nothing wrong, and `all` has it made again
        if _digest(made_of) != digest:
            return str(made_of)
        if made_of.endswith(".parquet") and (changed := _changed_input(made_of, checked)):
            return changed
    checked.add(path)
    return None


def _digest(path: str) -> str:
    """Digest of a file's content: of its values if it is a Parquet file."""
    if path.endswith(".parquet"):
        return _metadata(path).get(DIGEST_KEY, b"").decode()
    return sha256(path)


def _origin(path: str | Path) -> dict[str, Any] | None:
    found = _metadata(str(path)).get(_ORIGIN_KEY)
    return json.loads(found) if found else None


def _metadata(path: str) -> dict[bytes, bytes]:
    status = Path(path).stat()
    return _metadata_of(path, status.st_ino, status.st_ctime_ns)


@cache
def _metadata_of(path: str, inode: int, changed: int) -> dict[bytes, bytes]:
    """Metadata of a Parquet file, read again only if it was replaced or written to. Of a damaged
    one none: whoever reads it says so best."""
    try:
        return dict(pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return {}
