"""What jobs write to standard error, led into Snakemake's log.

Jobs inherit the terminal, so that every warning of a library, and after Ctrl-C the traceback of
each of them, would stand there between the lines of the run.
"""

import logging
import os
import sys
import threading

_RUN_LOG = logging.getLogger("snakemake.logging")


class JobOutput:
    """Standard error of this process's children becomes a pipe, whose lines become records with
    the attribute `job_output`; `sys.stderr` of this process itself stays where it was.
    """

    def __init__(self) -> None:
        self._terminal = os.dup(2)
        self._stderr = sys.stderr
        sys.stderr = open(os.dup(2), "w", buffering=1, errors="replace")  # noqa: SIM115
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
        self._reader = threading.Thread(target=_record, args=[reading], daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Give standard error back, and read what is left; a child that lives on is not awaited."""
        os.dup2(self._terminal, 2)
        os.close(self._terminal)
        sys.stderr = self._stderr
        self._reader.join(timeout=1)


def _record(reading: int) -> None:
    with open(reading, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            _RUN_LOG.info(line.rstrip("\n"), extra={"job_output": True})
