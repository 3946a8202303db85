"""What a run of a study says on the terminal: `logger: alignment-calibration` in our profiles.

A logger plugin of Snakemake, which finds it by the name of this package and imports it at every
start, for every workflow of the environment; without that line of a profile it does nothing, and
`snakemake -p` brings back Snakemake's own messages. Three things can be done from here only: the
files of --configfile are checked before Snakemake reads them, a run says little and says it
readably, and what jobs write to standard error is kept in Snakemake's log.
"""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback

from snakemake_interface_logger_plugins.base import LogHandlerBase

from .config_files import check_before_snakemake
from .display import Display
from .job_output import JobOutput

__all__ = ["LogHandler"]


class LogHandler(LogHandlerBase):  # type: ignore[misc]
    """Shows the records of a run in few lines; one object per start of Snakemake."""

    def __post_init__(self) -> None:
        settings = self.common_settings
        check_before_snakemake()
        self._shows = not (settings.verbose or settings.printshellcmds or settings.debug_dag)
        self._ended = threading.Event()
        self._job_output: JobOutput | None = None
        if not self._shows:
            return
        self._display = Display(settings.dryrun, time.monotonic())
        sys.excepthook = _one_line_for_ctrl_c
        if not settings.dryrun:
            self._job_output = JobOutput()
            if not settings.quiet:
                threading.Thread(target=self._tick, daemon=True).start()
        self._stream = sys.stdout if settings.stdout else sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is worth showing of a record."""
        if self._shows:
            self._write(self._display.lines(record, time.monotonic()))

    def close(self) -> None:
        """End with the run."""
        self._ended.set()
        _wait_for_jobs()
        if self._job_output:
            self._job_output.close()
        super().close()

    def _tick(self) -> None:
        """Show progress where nothing is reported for long, as while a model is scored."""
        while not self._ended.wait(1):
            with self.lock:
                self._write(self._display.progress(time.monotonic()))

    def _write(self, lines: list[str]) -> None:
        # A run goes on when its terminal is gone.
        with contextlib.suppress(OSError):
            for line in lines:
                print(line, file=self._stream, flush=True)

    @property
    def writes_to_stream(self) -> bool:
        """Whether it stands in for Snakemake's own messages."""
        return self._shows

    @property
    def writes_to_file(self) -> bool:
        """No: Snakemake keeps a log of all messages as ever."""
        return False

    @property
    def has_filter(self) -> bool:
        """No: Snakemake's own filter obeys `--quiet`."""
        return False

    @property
    def has_formatter(self) -> bool:
        """It formats by itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False


def _wait_for_jobs() -> None:
    """Let the threads end that still run a job, before Snakemake closes their event loops.

    It waits for those of its pool. Ctrl-C while the pool starts a thread keeps that one out of the
    pool's list (`ThreadPoolExecutor` enters it after its start), and its open loop would end the
    run in a traceback. Python itself would wait for such threads at its exit.
    """
    while any(map(_runs_a_loop, threading.enumerate())):
        time.sleep(0.05)


def _runs_a_loop(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    if frame is None or thread.daemon or thread is threading.current_thread():
        return False
    return any(f.f_code is asyncio.Runner.run.__code__ for f, _ in traceback.walk_stack(frame))


def _one_line_for_ctrl_c(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """What Python calls for an error that ends the process, as Ctrl-C does before the first job."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)  # type: ignore[arg-type]
