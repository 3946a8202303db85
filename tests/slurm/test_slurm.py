"""The SLURM profile on a real SLURM: one node, this machine, with four GPUs that do not exist."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.study import ALL_MESSAGES, Study, environment

HERE = Path(__file__).parent
DAEMONS = ("munged", "slurmctld", "slurmd")
CELLS = 6  # 2 models × 3 prompts: more than there are GPUs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, DAEMONS)),
        reason="needs root and Debian's packages slurm-wlm and munge (.ci/system_packages)",
    ),
]


@dataclass
class Cluster:
    """A running SLURM, and what was seen of its jobs."""

    folder: Path
    devices: dict[str, str] = field(default_factory=dict)  # of each scoring job, by id
    most_at_once: int = 0

    @property
    def environment(self) -> dict[str, str]:
        configuration = str(self.folder / "slurm.conf")
        variables = environment(
            SLURM_CONF=configuration,
            TEST_SLURM_CONF=configuration,
        )
        return {**variables, "PATH": f"{HERE}{os.pathsep}{variables['PATH']}"}

    def call(self, *command: str) -> str:
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True
        ).stdout

    def running(self) -> list[str]:
        """Ids of the scoring jobs that run now; their devices are noted."""
        jobs = self.call("squeue", "-h", "-t", "RUNNING", "-p", "gpu", "-o", "%i").split()
        self.most_at_once = max(self.most_at_once, len(jobs))
        for job in jobs:
            details = self.call("scontrol", "show", "job", "-d", job)
            if match := re.search(r"GRES=gpu:\d+\(IDX:([\d,-]+)\)", details):
                self.devices[job] = match[1]
        return jobs


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("slurm")
    for part in ("munge", "state", "spool"):
        (folder / part).mkdir()
    (folder / "munge").chmod(0o755)
    for name in ("slurm.conf", "gres.conf", "cgroup.conf"):
        text = (HERE / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("@DIR@", str(folder)), encoding="utf-8")
    for number in range(4):
        os.mknod(folder / f"gpu{number}", 0o20666, os.makedev(1, 3))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    cluster = Cluster(folder)
    munge = folder / "munge"
    started: list[Path] = []
    try:
        started.append(folder / "munged.pid")
        cluster.call(
            "munged", "--force", f"--key-file={key}", f"--socket={munge}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={munge}/munged.log",
            f"--seed-file={munge}/munged.seed",
        )  # fmt: skip
        started.append(folder / "slurmctld.pid")
        cluster.call("slurmctld", "-f", str(folder / "slurm.conf"))
        started.append(folder / "slurmd.pid")
        cluster.call("slurmd", "-f", str(folder / "slurm.conf"), "-N", "localhost")
        until(lambda: "idle" in cluster.call("sinfo", "-h", "-o", "%T"), 60)
        yield cluster
        cluster.call("scancel", "--user=root")
        until(lambda: not cluster.call("squeue", "-h", "-t", "RUNNING,COMPLETING"), 60)
    finally:
        for file in reversed(started):
            if file.exists():
                os.kill(int(file.read_text()), signal.SIGTERM)


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


TASKS = {
    "physical": {"continuation": "demo_physical", "limit": 8},
    "words": {"continuation": "demo_words", "choice": "demo_words_choice", "limit": 8},
}

#: SLURM counts GPUs and torch finds none, on which a job would end.
CPU = {"device": "cpu"}

#: What this cluster wants in place of the profile's section on the site.
SITE = [
    "--default-resources", "slurm_partition=cpu", "mem_mb=1000", "runtime=10",
    "--set-resources", "score:slurm_partition=gpu", "score_model:slurm_partition=gpu",
    "score_part:slurm_partition=gpu",
    # As the local run that it is compared with.
    "--set-threads", "score=1", "score_model=1", "score_part=1",
    "--slurm-no-account", "--slurm-status-command", "squeue",
    "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
]  # fmt: skip


def submit(study: Study, cluster: Cluster, log: Path, *options: str) -> subprocess.Popen[bytes]:
    return study.start(*SITE, *options, profile="slurm", env=cluster.environment, log=log)


def test_a_run_through_slurm_survives_cancelled_jobs_and_a_killed_snakemake(
    cluster: Cluster, tmp_path: Path
) -> None:
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    local, remote = (
        Study.reduced(tmp_path / name, TASKS, scoring={"load_once": False} | CPU)
        for name in ("local", "remote")
    )
    undisturbed = local.run()
    assert undisturbed.returncode == 0, undisturbed.stderr

    # A scoring job is cancelled; when it is tried again and a cell is done, Snakemake is killed.
    log = remote.folder / "first.log"
    first = submit(remote, cluster, log, ALL_MESSAGES)
    until(lambda: cluster.running() or first.poll() is not None, 300)
    cluster.call("scancel", cluster.running()[0])
    until(lambda: (cluster.running(), "Trying to restart job" in log.read_text())[1], 300)
    until(lambda: (cluster.running(), remote.cells())[1], 300)
    assert first.poll() is None, log.read_text()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    before = remote.cells()

    unlocked = remote.run("--unlock", env=cluster.environment)
    assert unlocked.returncode == 0, unlocked.stderr
    log = remote.folder / "second.log"
    second = submit(remote, cluster, log)
    until(lambda: (cluster.running(), second.poll() is not None)[1], 600)
    assert second.returncode == 0, log.read_text(encoding="utf-8")

    after = remote.cells()
    assert len(after) == CELLS
    assert {cell: after[cell] for cell in before} == before, "a finished cell was scored again"
    assert remote.tables() == local.tables()
    # One device each, out of four, and never more jobs at once than devices.
    assert len(cluster.devices) > 4
    assert set(cluster.devices.values()) <= {"0", "1", "2", "3"}
    assert 1 < cluster.most_at_once <= 4


@pytest.mark.parametrize("parts", [1, 2])
def test_a_job_per_model_or_part_scores_all_its_cells(
    parts: int, cluster: Cluster, tmp_path: Path
) -> None:
    study = Study.reduced(tmp_path, TASKS, scoring={"parts": parts} | CPU)
    cluster.devices.clear()
    log = tmp_path / "run.log"
    run = submit(study, cluster, log)
    until(lambda: (cluster.running(), run.poll() is not None)[1], 600)
    assert run.returncode == 0, log.read_text(encoding="utf-8")
    assert len(study.cells()) == CELLS
    assert len(cluster.devices) == 2 * parts  # jobs with a GPU, of two models


@pytest.mark.parametrize(
    ("rule", "scoring"),
    [("score_model", {}), ("score", {"load_once": False}), ("score_part", {"parts": 2})],
)
def test_the_profile_asks_for_the_gpus_of_the_spec(
    rule: str, scoring: dict[str, Any], tmp_path: Path
) -> None:
    methods = ["continuation_sum", "choice"]
    study = Study.reduced(tmp_path, TASKS, methods, scoring=scoring)
    config = study.config
    config["models"]["aligned"]["gpus"] = 2
    study.write(config)
    plan = study.run("--dry-run", ALL_MESSAGES, profile="slurm")
    assert plan.returncode == 0, plan.stderr
    asked = dict(
        re.findall(
            rf"rule {rule}:\n(?:.*\n)*?    wildcards: model=(\w+).*\n(?:.*\n)*?.*\bgpu=(\d)",
            plan.stdout,
        )
    )
    assert asked == {"base": "1", "aligned": "2"}
