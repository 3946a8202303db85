"""What is said when a run ends: where its results are and what they say, or what went wrong.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from alignment_calibration.study.settings import Primary


def success(primary: Mapping[str, str], made: Iterable[str]) -> str:
    """Where the results of a run are, and the headline in a line.

    Args:
        primary: `statistics.primary` of the study.
        made: files that the run was about, those that were there already included.
    """
    lines = []
    places: dict[str, set[str]] = {"tables": set(), "figures": set(), "data set": set()}
    for file in map(Path, made):
        match file.parts:
            case ("results", study, "tables", name):
                places["tables"].add(f"results/{study}/tables/")
                if name == "headline.csv":
                    lines += headline(file, Primary.of(primary))
            case ("figures", study, _, *_):
                places["figures"].add(f"figures/{study}/")
            case ("export", study):
                places["data set"].add(f"export/{study}/")
            case ("results", study, "run_summary.json"):
                report = f"results/{study}/report.zip"
                places["report"] = {f"the same command with --report {report} makes it"}
    lines += [
        f"{what + ':':8} {place}" for what, found in places.items() for place in sorted(found)
    ]
    return "\n".join(lines)


def headline(table: Path, primary: Primary) -> list[str]:
    """What alignment did, in one line; none where the study has no such row.

    Args:
        table: `tables/headline.csv`.
        primary: the analysis that stands for the study.
    """
    with open(table, encoding="utf-8", newline="") as stream:
        row = next(filter(primary.holds, csv.DictReader(stream)), None)
    if row is None:
        return []
    change, low, high = (
        f"{float(row[name]):+.3f}" if row[name] else "unknown"
        for name in ("mean_change", "ci_low", "ci_high")
    )
    worse = (
        f"; worse, less bias, for {row['pairs_worse']} of {row['pairs']} pairs"
        if row["pairs_worse"]
        else ""
    )
    return [
        f"mean change of {row['metric']} ({row['method']}) from base to aligned: {change}, "
        f"95 % interval {low} to {high}{worse}"
    ]


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
