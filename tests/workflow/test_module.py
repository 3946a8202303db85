"""The workflow as a module of another one, in a folder of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import study

SNAKEFILE = """\
configfile: "mine.yaml"


module calibration:
    snakefile:
        "{snakefile}"
    config:
        config["calibration"]


use rule * from calibration as calibration_*


rule everything:
    default_target: True
    input:
        rules.calibration_all.input,
"""


@pytest.fixture
def importing(tmp_path: Path) -> Path:
    """A folder with nothing but a Snakefile that imports the workflow, and its config."""
    snakefile = study.ROOT / "workflow" / "Snakefile"
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(snakefile=snakefile), encoding="utf-8")
    models = study.ROOT / "data" / "demo" / "models"
    config = {
        "study": "mine",
        "models": {stage: {"path": str(models / stage)} for stage in ("base", "aligned")},
        "pairs": {"Demo": {"base": "base", "aligned": "aligned"}},
        "tasks": {"words": {"continuation": "demo_words", "limit": 6}},
        "methods": ["continuation_sum"],
        "metrics": ["accuracy", "ece"],
        "statistics": {"resamples": 20, "permutations": 20},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"calibration": config}), encoding="utf-8")
    return tmp_path


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
        cwd=folder,
        env=study.environment(),
        capture_output=True,
        text=True,
    )


def test_its_rules_are_planned_under_the_importing_workflow(importing: Path) -> None:
    plan = snakemake(importing, "--dry-run")
    assert plan.returncode == 0, plan.stderr
    jobs = re.findall(r"^(calibration_\w+) +\d+$", plan.stdout, re.MULTILINE)
    assert {"calibration_models", "calibration_changes"} <= set(jobs)
    assert "demo-base" not in plan.stdout  # the models of the default study


@pytest.mark.slow
def test_a_small_study_runs_in_the_folder_of_the_importing_workflow(importing: Path) -> None:
    run = snakemake(importing)
    assert run.returncode == 0, run.stderr
    assert (importing / "results" / "mine" / "changes.csv").is_file()
    assert (importing / "figures" / "mine" / "figure1.pdf").is_file()
    again = snakemake(importing, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_mistake_in_its_config_is_one_line(importing: Path) -> None:
    text = (importing / "mine.yaml").read_text(encoding="utf-8").replace("ece", "ecce")
    (importing / "mine.yaml").write_text(text, encoding="utf-8")
    run = snakemake(importing, "--dry-run")
    assert run.returncode != 0
    assert "error: " in run.stderr
    assert 'metrics.1: found "ecce"' in run.stderr
    assert "Traceback" not in run.stderr
