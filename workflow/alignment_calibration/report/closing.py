"""What is said when a run ends: where its results are and what they say, or what went wrong.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

#: The metrics of the headline, the first that a study has: calibration is what it asks about.
HEADLINE_METRICS = ("ece", "sce")


def success(study: str, methods: Sequence[str], made: Iterable[str]) -> str:
    """Where the results of a run are, and the headline in a line.

    Args:
        study: its slug.
        methods: of the study, in the order of its config.
        made: names of the rules that the run was about, jobs that had nothing to do included.
    """
    rules = set(made)
    lines = []
    if "tables" in rules:
        lines += headline(Path("results", study, "tables", "headline.csv"), methods)
        lines.append(f"tables:  results/{study}/tables/")
    if "figures" in rules:
        lines.append(f"figures: figures/{study}/")
    if "run_summary" in rules:
        report = f"results/{study}/report.zip"
        lines.append(f"report:  the same command with --report {report} makes it")
    return "\n".join(lines)


def headline(table: Path, methods: Sequence[str]) -> list[str]:
    """What alignment did, in one line; none where the study has no such row.

    Args:
        table: `tables/headline.csv`.
        methods: of the study, in the order of its config.
    """
    with open(table, encoding="utf-8", newline="") as stream:
        row = primary_row(list(csv.DictReader(stream)), methods)
    if row is None:
        return []
    change, low, high = (
        f"{float(row[name]):+.3f}" if row[name] else "unknown"
        for name in ("mean_change", "ci_low", "ci_high")
    )
    worse = (
        f"; worse for {row['pairs_worse']} of {row['pairs']} pairs" if row["pairs_worse"] else ""
    )
    return [
        f"alignment changed {row['metric']} ({row['method']}) by {change} in the mean, "
        f"95 % interval {low} to {high}{worse}"
    ]


def primary_row(
    rows: Sequence[Mapping[str, str]], methods: Sequence[str]
) -> Mapping[str, str] | None:
    """The row of the headline's table that stands for the study: the calibration error under the
    first of its methods.
    """
    found = {(row["metric"], row["method"]): row for row in rows}
    wanted = ((metric, method) for metric in HEADLINE_METRICS for method in methods)
    return next((found[key] for key in wanted if key in found), None)


def failure(logs: Iterable[str], since: float) -> str:
    """The errors of the jobs that failed, each with its log.

    Args:
        logs: of the jobs that were planned and are not finished.
        since: the start of the run, in seconds since the epoch: older logs tell of other runs.
    """
    lines: list[str] = []
    for log in map(Path, logs):
        if log.is_file() and log.stat().st_mtime >= since:
            text = log.read_text(encoding="utf-8", errors="replace").splitlines()
            errors = list(dict.fromkeys(line for line in text if line.startswith("error: ")))
            last = text[-1] if text else "it ended without a word; was it killed?"
            lines += [*(errors or [last]), f"  log: {log}"]
    return "\n".join(lines)
