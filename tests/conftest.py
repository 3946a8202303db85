"""What several tests use: a reduced study that really runs, once."""

import copy
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.study import ROOT, command, environment


@dataclass(frozen=True)
class Study:
    """A study in a folder of its own, run by the repository's workflow."""

    folder: Path
    config: dict[str, Any] = field(repr=False)

    def snakemake(self, *arguments: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on the config with `changes` to its top-level keys."""
        path = self.folder / "study.yaml"
        path.write_text(yaml.safe_dump({**self.config, **changes}, sort_keys=False))
        arguments = ("--cores", "4", "--resources", "gpu=2", *arguments)
        return subprocess.run(
            command(*arguments, targets=()),
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment(),
        )

    def planned(self, **changes: Any) -> dict[str, list[str]]:
        """The jobs that a dry run lists: rule → wildcards of its jobs, sorted."""
        result = self.snakemake("--dry-run", **changes)
        assert result.returncode == 0, result.stderr
        jobs: dict[str, list[str]] = {}
        rule = ""
        for line in (result.stdout + result.stderr).splitlines():
            if match := re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", line):
                rule = match[1]
                jobs.setdefault(rule, [])
            elif match := re.match(r"    wildcards: (.*)", line):
                jobs[rule].append(match[1])
        return {rule: sorted(wildcards) for rule, wildcards in jobs.items()}

    def edited(self) -> dict[str, Any]:
        """A copy of the config to change."""
        return copy.deepcopy(self.config)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of seconds: the demo's models, two of its tasks, a few questions."""
    models = ROOT / "data" / "demo" / "models"
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    tasks = list(config["tasks"])[:2]
    config |= {
        "study": "reduced",
        "models": {
            "demo-base": {"path": str(models / "base")},
            "demo-aligned": {"path": str(models / "aligned")},
        },
        "tasks": {task: {**config["tasks"][task], "limit": 20} for task in tasks},
        "statistics": {"resamples": 50, "permutations": 50},
    }
    reduced = Study(tmp_path_factory.mktemp("study"), config)
    result = reduced.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    return reduced
