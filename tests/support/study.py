"""Studies in folders of their own, run by the repository's workflow."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import yaml

ROOT = Path(__file__).parents[2]
DEMO_CONFIG = ROOT / "config.yaml"
#: The demo's models, by stage.
CHECKPOINTS = {stage: ROOT / "data" / "demo" / "models" / stage for stage in ("base", "aligned")}

#: The name of every reduced study, and the tables of one with what they are made of.
STUDY = "reduced"
TABLES = ("tables", f"results/{STUDY}/metrics.csv")

#: Brings back Snakemake's own messages, which list every job, in place of our few lines.
ALL_MESSAGES = "--printshellcmds"

Config = dict[str, Any]


def environment(root: Path = ROOT, **extra: str) -> dict[str, str]:
    """The environment of this test run, in which `python` is the one that runs the tests and the
    package is that of a repository.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    package = str(root / "workflow")
    return {**os.environ, "PATH": path, "PYTHONPATH": package, "OMP_NUM_THREADS": "1", **extra}


def copied_workflow(folder: Path) -> Path:
    """A copy of all that the demo's workflow reads of the repository, to be edited."""
    folder.mkdir(exist_ok=True)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles", "envs", "data"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


def demo_config() -> Config:
    """The config of the demo."""
    return read(DEMO_CONFIG)


def dumped(value: Any) -> str:
    """A value as YAML, keys in their order."""
    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False))


def read(file: Path) -> Config:
    config: Config = yaml.safe_load(file.read_text(encoding="utf-8"))
    return config


@dataclass(frozen=True)
class Job:
    """A job that a dry run lists. A field that it does not print is empty."""

    rule: str
    wildcards: str
    reason: str


def _field(block: str, name: str) -> str:
    match = re.search(rf"^    {name}: (.*)$", block, re.M)
    return match[1] if match else ""


@dataclass(frozen=True)
class Study:
    """A folder with a config, in which the repository's workflow runs.

    Attributes:
        folder: where Snakemake runs; results and figures lie below it.
        targets: what a run makes if it names nothing; empty means all of the study.
        config_file: relative to the folder.
        root: of the repository whose workflow runs.
    """

    folder: Path
    targets: Sequence[str] = TABLES
    config_file: str | Path = "study.yaml"
    root: Path = ROOT

    @classmethod
    def reduced(
        cls,
        folder: Path,
        tasks: Mapping[str, Any],
        methods: Sequence[str] = ("continuation_sum", "continuation_min", "choice"),
        targets: Sequence[str] = TABLES,
        root: Path = ROOT,
        **sections: Any,
    ) -> Self:
        """The demo's models on a few questions, with few resamples; its tables by default."""
        study = cls(folder, targets, root=root)
        study.write(
            {
                "study": STUDY,
                "models": {stage: {"path": str(path)} for stage, path in CHECKPOINTS.items()},
                "pairs": {"Demo": {"base": "base", "aligned": "aligned"}},
                "tasks": dict(tasks),
                "methods": list(methods),
                "statistics": {"resamples": 20, "permutations": 20},
                **sections,
            }
        )
        return study

    @property
    def config(self) -> Config:
        """The config as it stands in the file: a new copy each time."""
        return read(self.folder / self.config_file)

    def write(self, config: Config) -> None:
        (self.folder / self.config_file).write_text(dumped(config), encoding="utf-8")

    def copied(self, folder: Path) -> Self:
        """A copy of the study in another folder, dates and all."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    def command(
        self, *arguments: str, targets: Sequence[str] | None = None, profile: str = "default"
    ) -> list[str]:
        """A Snakemake command, to be run in the folder; on two cores with the default profile."""
        return [
            *(sys.executable, "-m", "snakemake", *(self.targets if targets is None else targets)),
            *("--snakefile", str(self.root / "Snakefile"), "--configfile", str(self.config_file)),
            *("--workflow-profile", str(self.root / "profiles" / profile)),
            *(("--cores", "2") if profile == "default" else ()),
            *arguments,
        ]

    def run(
        self,
        *arguments: str,
        targets: Sequence[str] | None = None,
        profile: str = "default",
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end."""
        return subprocess.run(
            self.command(*arguments, targets=targets, profile=profile),
            cwd=self.folder,
            env=env or environment(self.root),
            capture_output=True,
            text=True,
            timeout=600,
        )

    def start(
        self,
        *arguments: str,
        profile: str = "default",
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start Snakemake in a process group of its own and go on."""
        with open(log or os.devnull, "wb") as stream:
            return subprocess.Popen(
                self.command(*arguments, profile=profile),
                cwd=self.folder,
                env=env or environment(self.root),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def planned(self, **changes: Any) -> dict[str, list[str]]:
        """The jobs that a dry run lists, on the config with `changes` to its top-level keys:
        rule → wildcards of its jobs, sorted.
        """
        jobs: dict[str, list[str]] = {}
        for job in self.planned_jobs(**changes):
            jobs.setdefault(job.rule, []).extend([job.wildcards] if job.wildcards else [])
        return {rule: sorted(wildcards) for rule, wildcards in jobs.items()}

    def planned_jobs(self, *arguments: str, **changes: Any) -> list[Job]:
        """The same, with the reason of each job."""
        study = replace(self, config_file="changed.yaml")
        study.write({**self.config, **changes})
        result = study.run("--dry-run", ALL_MESSAGES, *arguments)
        assert result.returncode == 0, result.stderr
        text = result.stdout + result.stderr
        blocks = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):\n((?: .*\n)*)", text, re.M)
        return [
            Job(rule, *(_field(block, name) for name in ("wildcards", "reason")))
            for rule, block in blocks
        ]

    @property
    def results(self) -> Path:
        return self.folder / "results" / STUDY

    def tables(self) -> dict[str, bytes]:
        """What a study ends in, and the cells it stands on: files whose bytes must agree."""
        files = [
            *self.results.glob("*.*"),
            *self.results.glob("tables/*"),
            *self.results.rglob("logits/**/[!.]*.parquet"),
            *self.results.rglob("logits/**/[!.]*.receipt.json"),
        ]
        return {str(file.relative_to(self.results)): file.read_bytes() for file in sorted(files)}

    def cells(self) -> dict[str, tuple[int, int]]:
        """The scored cells, each with what changes if it is written again."""
        folder = self.results / "logits"
        return {
            str(file.relative_to(folder)): (file.stat().st_ino, file.stat().st_size)
            for file in sorted(folder.rglob("[!.]*.parquet"))
        }

    def leftovers(self) -> list[str]:
        """Temporary files that were left beside their targets."""
        return [str(path) for path in (self.folder / "results").rglob(".*") if path.is_file()]
