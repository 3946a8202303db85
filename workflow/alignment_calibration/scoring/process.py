"""The process of a score job: its life, its output, and what it used of the machine."""

import ctypes
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from alignment_calibration.errors import UserError, lacks_memory, memory_message, one_line

if TYPE_CHECKING:
    import torch


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, even if that was killed.

    Otherwise an orphan would go on scoring beside the restarted workflow.

    Args:
        parent: the process that started this one, as it was then: it may have ended since, in the
            seconds that imports take.

    Raises:
        SystemExit: it has.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit("error: the run that started this job has ended, and so does the job")


@contextmanager
def output_to(log: str | None) -> Iterator[TextIO]:
    """Send all output, that of libraries included, to `log`; yield the terminal."""
    if log is None:
        yield sys.stderr
        return
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(2), "w")
    with open(log, "wb") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield terminal
    except UserError as error:  # goes to the log as well, where it ends
        print(f"error: {error}", file=terminal, flush=True)
        raise


@contextmanager
def faults_of(cell: str) -> Iterator[None]:
    """End in a line that names the cell, where libraries fail or somebody stops the job.

    Raises:
        UserError: in place of Ctrl-C, of lack of memory, and of whatever torch and the models raise
            in a forward pass; it names the place in their code.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise UserError(
            f"{cell}: interrupted; cells that were finished stay, the others are scored next time"
        ) from None
    except UserError:
        raise
    except Exception as error:  # whatever the code of a model, remote code included, comes to
        if lacks_memory(error):
            raise UserError(f"{cell}: {memory_message(error)}") from None
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"{cell}: stopped by {type(error).__name__} in {Path(last.filename).name}, line "
            f"{last.lineno}: {one_line(error)}"
        ) from None


class Progress:
    """A bar on a terminal, and plain lines on standard error elsewhere: percent of a cell, its
    questions a second, and the time that it and the cells after it will take at that speed.

    Args:
        name: of the cell.
        options: of the cell, by which progress is told.
        questions: of the cell.
        later: questions of the cells that the job scores after it.
        terminal: for the bar.
    """

    def __init__(
        self, name: str, options: int, questions: int, later: int, terminal: TextIO
    ) -> None:
        self._name = name
        self._options = options
        self._questions = questions
        self._later = later
        self._done = 0
        self._start = self._due = time.perf_counter()
        self._bar = tqdm(
            total=options, desc=name, unit="option", file=terminal, disable=not terminal.isatty()
        )
        self._plain = terminal is not sys.stderr or not terminal.isatty()
        self._tell(f"{questions} questions")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def advance(self, number: int) -> None:
        """Note that `number` more options are scored.

        The first options bring a line, and later ones after a tenth of the time that has passed,
        at least a second: a cell of hours has some eighty.
        """
        self._done += number
        self._bar.update(number)
        now = time.perf_counter()
        if not self._done or (now < self._due and self._done < self._options):
            return
        passed = max(now - self._start, 1e-9)
        self._due = now + max(1, passed / 10)
        share = self._done / self._options
        rate = self._questions * share / passed
        left = timedelta(seconds=int((self._questions * (1 - share) + self._later) / rate))
        self._tell(f"{100 * share:.0f} %, {rate:.4g} questions/s, {left} left for this job")

    def _tell(self, text: str) -> None:
        if self._plain:
            print(f"{self._name}: {text}", file=sys.stderr, flush=True)


def device_name(device: "torch.device") -> str:
    """What a device is called in the record of a run."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)


def peak_memory(device: "torch.device") -> dict[str, int]:
    """Most memory in use so far, in bytes: of this process, files mapped to memory included, and of
    every GPU in sight."""
    import torch

    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    for index in range(torch.cuda.device_count() if device.type == "cuda" else 0):
        peaks[f"cuda:{index}"] = int(torch.cuda.max_memory_allocated(index))
    return peaks
