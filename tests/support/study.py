"""A small study for tests that run the whole workflow, in folders of their own."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
STUDY = "reduced"

#: The tables of a study, and what they are made of.
TARGETS = ("tables", f"results/{STUDY}/metrics.csv")


def write_config(
    folder: Path, tasks: dict[str, Any], methods: Sequence[str], **sections: Any
) -> None:
    """Write `study.yaml`: the demo's models on few questions and with few resamples."""
    models = ROOT / "data" / "demo" / "models"
    config = {
        "study": STUDY,
        "models": {stage: {"path": str(models / stage)} for stage in ("base", "aligned")},
        "pairs": {"Demo": {"base": "base", "aligned": "aligned"}},
        "tasks": tasks,
        "methods": list(methods),
        "statistics": {"resamples": 20, "permutations": 20},
        **sections,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def environment(**extra: str) -> dict[str, str]:
    """The environment of this test run, in which `python` is the one that runs the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    package = str(ROOT / "workflow")
    return {**os.environ, "PATH": path, "PYTHONPATH": package, "OMP_NUM_THREADS": "1", **extra}


def command(
    *arguments: str, targets: Sequence[str] = TARGETS, profile: str = "default"
) -> list[str]:
    """A Snakemake command on the study in the current folder."""
    return [
        sys.executable, "-m", "snakemake", *targets, "--snakefile", str(ROOT / "Snakefile"),
        "--configfile", "study.yaml", "--workflow-profile", str(ROOT / "profiles" / profile),
        *arguments,
    ]  # fmt: skip


def run(
    folder: Path, *arguments: str, targets: Sequence[str] = TARGETS
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on two cores, to its end."""
    return subprocess.run(
        command("--cores", "2", *arguments, targets=targets),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )


def tables(folder: Path) -> dict[str, bytes]:
    """What a study ends in, and the cells it stands on: every file whose bytes must agree."""
    results = folder / "results" / STUDY
    files = [
        *results.glob("*.*"),
        *results.glob("tables/*"),
        *results.rglob("logits/**/[!.]*.parquet"),
    ]
    return {str(file.relative_to(results)): file.read_bytes() for file in sorted(files)}


def cells(folder: Path) -> dict[str, tuple[int, int]]:
    """The scored cells of a study, each with what changes if it is written again."""
    results = folder / "results" / STUDY / "logits"
    return {
        str(file.relative_to(results)): (file.stat().st_ino, file.stat().st_size)
        for file in sorted(results.rglob("[!.]*.parquet"))
    }


def leftovers(folder: Path) -> list[str]:
    """Temporary files that were left beside their targets."""
    return [str(path) for path in (folder / "results").rglob(".*") if path.is_file()]
