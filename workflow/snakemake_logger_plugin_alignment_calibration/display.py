"""What is shown of a run: which of Snakemake's records, and in which words."""

import datetime
import logging
import re
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

#: Messages of every run that tell a user nothing. What is not listed is shown.
_NOISE = re.compile(
    "Assuming unrestricted shared|Building DAG|Using shell|Provided |Rules claiming|Conda env"
    "|Singularity|Select jobs|Elapsed time|Shutting down|Trying to restart|Removing output files"
    "|Removing temporary|Exiting because|Reasons:|This was a dry-run|.*have been"
    "|.*would have been|    |Would remove|Changing to shadow|Some jobs were triggered by provenance"
    "|Rules with provenance triggered jobs"
)
#: How Snakemake says that a target is neither a rule nor a file that a rule makes.
_NO_TARGET = re.compile(r"MissingRuleException:\s*No rule to produce (\S+)")
#: Exceptions by which Snakemake says once more that a job, and so the run, failed.
_SAID_BEFORE = re.compile(
    "RuleException:\nCalledProcessError|.*\nAt least one job did not complete"
)
#: What is shown of the jobs' own output: our errors, and how the traceback of a bug ends.
_OF_A_JOB = re.compile("error: |warning: |[A-Za-z_.]+(Error|Exception): ")
#: Seconds between two lines of progress: at first, and as a share of the time since the start, so
#: that a run of a day has some eighty of them.
_FIRST, _SHARE = 5, 1 / 8


@dataclass(frozen=True)
class _Job:
    """A job that runs: its name for people, its log, whether it scores, and the cells to which it
    gives receipts."""

    name: str
    log: str | None
    scores: bool
    cells: tuple[str, ...]

    @property
    def scored(self) -> int:
        """Its cells that have their receipt."""
        return sum(Path(receipt).exists() for receipt in self.cells)

    @property
    def state(self) -> str:
        """The last line of its log if it scores, which says how far it is; else its name, also if
        it has failed: its error has a line of its own."""
        last = _last_line(self.log) if self.scores and self.log else ""
        return self.name if not last or last.startswith("error:") else last


class Display:
    """Turns records into lines.

    Args:
        dryrun: of `snakemake -n`, which plans jobs and runs none.
        start: seconds of the clock at the start of the run.
    """

    def __init__(self, dryrun: bool, start: float) -> None:
        self._dryrun = dryrun
        self._start = start
        self._due = start + _FIRST
        self._running: dict[int, _Job] = {}
        self._done = self._total = 0
        self._cells = self._scored = 0
        self._planned: dict[str, Counter[str]] = {}
        self._interrupted = False

    def lines(self, record: logging.LogRecord, now: float) -> list[str]:
        """What to show of a record, line by line."""
        event = getattr(record, "event", None)
        of = record.__dict__
        match event:
            case LogEvent.RUN_INFO:
                return self._overview(of["stats"])
            case LogEvent.JOB_INFO:
                self._note(of)
            case LogEvent.JOB_FINISHED:
                job = self._running.pop(of["job_id"], None)
                self._scored += len(job.cells) if job else 0
            case LogEvent.PROGRESS:
                self._done, self._total = of["done"], of["total"]
                return self.progress(now, last=self._done == self._total)
            case LogEvent.JOB_ERROR if not self._interrupted:
                job = self._running.pop(of["jobid"], None)
                log = f"; log: {', '.join(of['log'])}" if of["log"] else ""
                return [f"failed: {job.name if job else of['rule_name']}{log}"]
            case LogEvent.ERROR if not self._interrupted:
                if no := _NO_TARGET.match(record.getMessage()):
                    return [f"error: no target {no[1]!r}; `make help` lists them"]
                return [] if _SAID_BEFORE.match(record.getMessage()) else _plain(record)
            case None:
                return self._message(record)
        return []

    def progress(self, now: float, last: bool = False) -> list[str]:
        """A line on how far the run is, if one is due."""
        if self._interrupted or not self._total or not (last or now >= self._due):
            return []
        self._due = now + max(_FIRST, _SHARE * (now - self._start))
        cells = self._scored + sum(job.scored for job in self._running.values())
        counts = [f"{self._done} of {self._total} jobs"]
        counts += [f"{cells} of {self._cells} cells"] * bool(self._cells)
        states = [] if last else sorted(job.state for job in self._running.values())
        seconds = datetime.timedelta(seconds=int(now - self._start))
        return [f"{seconds}  {', '.join(counts)}" + "".join(f" | {state}" for state in states)]

    def _overview(self, stats: dict[str, int]) -> list[str]:
        """How many jobs of which rules, and in a dry run, at its end, why."""
        if self._dryrun:
            if not self._planned:  # the same counts come again when all jobs were listed
                return []
            rows = [(len(list(why.elements())), rule, why) for rule, why in self._planned.items()]
            width = max(len(rule) for _, rule, _ in rows)
            listed = [f"{n:5} {rule:{width}}  {_reasons(why)}" for n, rule, why in rows]
            ended = "Nothing was run. `snakemake -n -p` lists each job with its files."
            return [f"{sum(n for n, _, _ in rows)} jobs would run:", *listed, ended]
        self._total = stats["total"]
        rules = ", ".join(f"{n} {rule}" for rule, n in stats.items() if rule != "total")
        return textwrap.wrap(f"{self._total} jobs: {rules}", 100, subsequent_indent="  ")

    def _note(self, of: dict[str, Any]) -> None:
        """Keep what is known of a job: why it would run, or that it runs."""
        if self._dryrun:
            why = self._planned.setdefault(of["rule_name"], Counter())
            why[_reason(of["reason"])] += 1
            return
        cells = [file for file in of["output"] if file.endswith(".receipt.json")]
        # One of several jobs that share a model's cells leaves only a mark that it is done.
        scores = bool(cells) or any(file.endswith(".scored") for file in of["output"])
        log = of["log"][0] if of["log"] else None
        self._running[of["jobid"]] = _Job(_name(of), log, scores, tuple(cells))

    def _message(self, record: logging.LogRecord) -> list[str]:
        """What is no event: words of Snakemake, of the workflow, or of a job."""
        text = record.getMessage()
        if text.startswith("Terminating processes on user request"):
            self._interrupted = True
            return ["interrupted: the jobs that run are ended"]
        if self._interrupted and text.startswith("Complete log"):
            return ["The same command goes on from what is finished.", text]
        if self._interrupted:
            return []
        if getattr(record, "job_output", False):
            return [text] if _OF_A_JOB.match(text) else []
        self._cells = getattr(record, "cells", self._cells)
        return [] if _NOISE.match(text) else _plain(record)


def _plain(record: logging.LogRecord) -> list[str]:
    text = record.getMessage().strip("\n")
    return [] if text in ("", "None") else text.splitlines()


def _name(of: dict[str, Any]) -> str:
    """A job by its rule and wildcards."""
    return " ".join([of["rule_name"], *map(str, dict(of["wildcards"]).values())])


def _reason(text: str) -> str:
    """The kind of a reason: "Missing output files: a, b; Code has changed since …" names files."""
    kinds = [part.partition(":")[0].strip() for part in text.split("; ")]
    first = [kind for kind in kinds if not kind.startswith("Input files updated by another job")]
    return (first or kinds)[0].removesuffix(" since last execution")


def _reasons(why: Counter[str]) -> str:
    return ", ".join(kind if len(why) == 1 else f"{n} {kind}" for kind, n in why.most_common())


def _last_line(log: str) -> str:
    """The last line of a log that is being written."""
    try:
        with open(log, "rb") as stream:
            stream.seek(max(0, stream.seek(0, 2) - 1000))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return lines[-1][:100] if lines else ""
