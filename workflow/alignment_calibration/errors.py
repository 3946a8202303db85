"""Errors that a user can mend, what their messages are made of, and how a step reports them."""

import contextlib
import errno
import json
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

#: Faults of a disk, not of the program: full, over a quota, read-only, closed to this user.
_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}

#: How libraries say that they got no memory, or no thread for want of it, in errors of their own.
_OF_MEMORY = (
    "cannot allocate memory",
    "can't allocate memory",
    "failed to map segment",
    "failed to launch worker thread",
    "bad_alloc",
    "out of memory",
    "_alloc_failed",  # the status of a library of CUDA, as of cuBLAS
    "_allocation_failed",
)


class UserError(Exception):
    """A mistake in a config, a checkpoint or a file.

    The message takes one to three lines and names the place (file, key or question), what was
    found there and what is allowed.
    """


def one_line(error: BaseException | str) -> str:
    """A message, folded and shortened to fit an error line."""
    return shorten(" ".join(str(error).split()), 200)


def shown(value: Any) -> str:
    """A value as a message shows it: as JSON, shortened."""
    return shorten(json.dumps(value, ensure_ascii=False, default=str))


def shorten(text: str, length: int = 60) -> str:
    """A text cut to `length`, in which what no screen shows is spelled out."""
    seen = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: length + 1]
    )
    return seen if len(seen) <= length else seen[: length - 1] + "…"


def lacks_memory(error: BaseException) -> bool:
    """Whether an error comes from too little memory of machine or GPU, or too low a limit on it."""
    return isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OF_MEMORY)


def and_others(count: int) -> str:
    """What follows the first of several like things where only that one is named."""
    return f" (and {count} others)" if count else ""


def memory_message(error: BaseException) -> str:
    """What to say of an error that `lacks_memory`."""
    detail = f" ({one_line(error)})" if str(error) else ""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return f"out of memory{detail}"
    return f"out of memory{detail}; `ulimit -v` allows {limit >> 20} MiB, raise it"


@contextlib.contextmanager
def logged(log: str | Path) -> Iterator[None]:
    """Write what a workflow script prints to its log; end with one clear line on a `UserError`.

    Whatever else is raised goes through, and into the log with its traceback.

    Raises:
        SystemExit: with status 1 after a `UserError`, whose message goes to log and terminal, for
            want of memory, or where the disk does not even take the log.
    """
    try:
        with (
            open(log, "w", encoding="utf-8", buffering=1) as stream,
            contextlib.redirect_stdout(stream),
            contextlib.redirect_stderr(stream),
        ):
            try:
                yield
            except (UserError, MemoryError) as error:
                message = error if isinstance(error, UserError) else memory_message(error)
                print(f"error: {message}", file=sys.__stderr__)
                print(f"error: {message}", file=stream)
                raise SystemExit(1) from None
            except Exception as error:
                if not _is_of_disk(error):
                    traceback.print_exc(file=stream)
                raise
    except OSError as error:
        if not _is_of_disk(error):
            raise
        print(f"error: {error} (log: {log})", file=sys.__stderr__)
        with contextlib.suppress(OSError), open(log, "a", encoding="utf-8") as stream:
            print(f"error: {error}", file=stream)
        raise SystemExit(1) from None


def _is_of_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _OF_DISKS


def run_cli(main: Callable[[], None]) -> None:
    """Run the `main` of a `python -m` module.

    Raises:
        SystemExit: with status 1 after a `UserError`, whose message goes to standard error, after
            Ctrl-C, and where memory lacks for the module's own imports.
    """
    try:
        main()
    except UserError as error:
        message = str(error)
    except KeyboardInterrupt:
        message = "interrupted"
    except (MemoryError, ImportError, OSError) as error:
        if not lacks_memory(error):
            raise
        message = memory_message(error)
    else:
        return
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(1) from None
