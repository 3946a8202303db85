"""Time and memory that Snakemake takes to plan large studies.

    python -m benchmarks.scale

Dry-runs the reference study and a generated one of 100 models and 60 tasks (12,000 cells), and
prints for each the jobs planned, wall time, CPU time and peak memory.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.support.study import ROOT, Study, environment

PAIRS = 50
TASKS = 60
OURS = ["arc_easy", "arc_challenge", "piqa", "hellaswag"]


def generated_study() -> dict[str, object]:
    """100 models of the hub in pairs, and tasks that need both lm-eval's YAMLs and ours."""
    models = {
        f"{stage}-{number}": {"hub": f"org/{stage}-{number}"}
        for number in range(PAIRS)
        for stage in ("base", "aligned")
    }
    pairs = {
        f"pair-{number}": {"base": f"base-{number}", "aligned": f"aligned-{number}"}
        for number in range(PAIRS)
    }
    sources = [OURS[number % len(OURS)] for number in range(TASKS)]
    tasks = {
        f"task_{number}": {"continuation": source, "choice": f"{source}_choice"}
        for number, source in enumerate(sources)
    }
    return {"study": "scale", "models": models, "pairs": pairs, "tasks": tasks}


def measure(config: Path) -> str:
    """Dry-run a study in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as output:
        study = Study(Path(folder), targets=(), config_file=config.resolve())
        start = time.perf_counter()
        process = subprocess.Popen(
            study.command("--dry-run"),
            cwd=folder,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(text[-2000:])
    jobs = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
    return (
        f"{jobs['total']} jobs, {jobs['score_model']} of them score_model: {seconds:.1f} s, "
        f"CPU {usage.ru_utime + usage.ru_stime:.1f} s, {usage.ru_maxrss / 2**20:.2f} GiB"
    )


if __name__ == "__main__":
    print("config/paper.yaml:", measure(ROOT / "config" / "paper.yaml"))
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "scale.yaml"
        config.write_text(yaml.safe_dump(generated_study()))
        print(f"{2 * PAIRS} models x {TASKS} tasks:", measure(config))
