"""Leases of GPUs, tried with real processes on injected GPUs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.scoring import lease

PACKAGE = Path(lease.__file__).parents[2]

# Notes when it got its GPUs and when it let them go, on the clock that all processes share.
JOB = """
import sys, time
from alignment_calibration.scoring.lease import lease
gpus, seconds, notes, name = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
with lease(gpus, name) as devices:
    start = time.monotonic()
    with open(f"{notes}/{name}.start", "w") as stream:
        stream.write(f"{start} {','.join(devices)}")
    time.sleep(seconds)
    with open(f"{notes}/{name}.end", "w") as stream:
        stream.write(str(time.monotonic()))
"""


class Jobs:
    """Processes that lease GPUs, started one after the other."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, gpus: int, seconds: float, **environment: str) -> None:
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-c", JOB, str(gpus), str(seconds), str(self.notes), name],
            env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment},
        )

    def started(self, name: str) -> tuple[float, list[str]]:
        start, devices = (self.notes / f"{name}.start").read_text().split(" ")
        return float(start), devices.split(",")

    def ended(self, name: str) -> float:
        return float((self.notes / f"{name}.end").read_text())

    def has_started(self, name: str) -> bool:
        path = self.notes / f"{name}.start"
        return path.exists() and path.stat().st_size > 0

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def wait(self) -> None:
        for process in self.processes.values():
            assert process.wait(timeout=60) == 0


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def waiting() -> int:
    return sum(row["state"] == "waits" for row in lease.status())


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_LEASES", str(tmp_path / "leases"))
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "gpu-a,gpu-b,gpu-c,gpu-d")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    notes = tmp_path / "notes"
    notes.mkdir()
    jobs = Jobs(notes)
    yield jobs
    for process in jobs.processes.values():
        process.kill()
        process.wait()


def overlapping(jobs: Jobs, names: list[str]) -> list[tuple[str, str]]:
    """Pairs of jobs that held one GPU at the same time."""
    return [
        (one, two)
        for one in names
        for two in names
        if one < two
        and set(jobs.started(one)[1]) & set(jobs.started(two)[1])
        and jobs.started(one)[0] < jobs.ended(two)
        and jobs.started(two)[0] < jobs.ended(one)
    ]


def test_eight_jobs_on_four_gpus_never_share_one(jobs: Jobs) -> None:
    names = [f"job{number}" for number in range(8)]
    for name in names:
        jobs.start(name, gpus=1, seconds=0.3)
    jobs.wait()
    assert {device for name in names for device in jobs.started(name)[1]} == {
        "gpu-a", "gpu-b", "gpu-c", "gpu-d",
    }  # fmt: skip
    assert overlapping(jobs, names) == []


def test_a_killed_job_frees_its_gpu_at_once(jobs: Jobs) -> None:
    jobs.start("killed", gpus=4, seconds=1000)
    until(lambda: jobs.has_started("killed"))
    jobs.start("next", gpus=4, seconds=0)
    until(lambda: waiting() == 1)
    assert not jobs.has_started("next")
    jobs.kill("killed")
    jobs.wait()
    assert jobs.has_started("next")


def test_a_killed_waiter_does_not_block_the_queue(jobs: Jobs) -> None:
    jobs.start("holder", gpus=4, seconds=1000)
    until(lambda: jobs.has_started("holder"))
    for place, name in enumerate(["first", "second", "third"], start=1):
        jobs.start(name, gpus=1, seconds=0)
        until(lambda place=place: waiting() == place)  # type: ignore[misc]
    jobs.kill("second")
    jobs.kill("first")
    jobs.kill("holder")
    jobs.wait()
    assert jobs.has_started("third")


def test_a_job_of_two_gpus_is_not_overtaken_by_jobs_of_one(jobs: Jobs) -> None:
    first = [f"first{number}" for number in range(4)]
    for name in first:
        jobs.start(name, gpus=1, seconds=1000)
    until(lambda: all(jobs.has_started(name) for name in first))
    jobs.start("large", gpus=2, seconds=0)
    until(lambda: waiting() == 1)
    later = [f"later{number}" for number in range(4)]
    for name in later:
        jobs.start(name, gpus=1, seconds=0)
    until(lambda: waiting() == 5)
    jobs.kill("first0")
    time.sleep(5 * lease.POLL_SECONDS)  # one GPU is free: time enough to overtake
    assert waiting() == 5
    jobs.kill("first1")
    for name in ("first2", "first3"):  # live on: two free GPUs suffice
        until(lambda: jobs.has_started("large"))
        jobs.kill(name)
    jobs.wait()
    assert jobs.started("large")[0] < min(jobs.started(name)[0] for name in later)


def test_two_jobs_of_several_gpus_do_not_block_each_other(jobs: Jobs) -> None:
    names = [f"job{number}" for number in range(6)]
    for name in names:
        jobs.start(name, gpus=3, seconds=0.05)
    jobs.wait()
    assert overlapping(jobs, names) == []


def test_the_queue_of_one_gpu_does_not_hold_up_another(jobs: Jobs) -> None:
    jobs.start("holder", gpus=1, seconds=1000, CUDA_VISIBLE_DEVICES="0")
    until(lambda: jobs.has_started("holder"))
    jobs.start("waiter", gpus=1, seconds=0, CUDA_VISIBLE_DEVICES="0")
    until(lambda: waiting() == 1)
    jobs.start("elsewhere", gpus=1, seconds=0, CUDA_VISIBLE_DEVICES="3")
    until(lambda: jobs.has_started("elsewhere"))
    assert jobs.started("elsewhere")[1] == ["3"]
    assert not jobs.has_started("waiter")


def test_a_machine_without_gpus_leases_nothing(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "")
    with lease.lease(2) as devices:
        assert devices == ()
    assert not (tmp_path / "leases").exists()


def test_more_gpus_than_there_are_is_an_error(jobs: Jobs) -> None:
    with (
        pytest.raises(UserError, match=r"llama: needs 5 GPUs, .* offers 4"),
        lease.lease(5, "llama"),
    ):
        pass


@pytest.mark.parametrize(
    ("narrowed", "devices"),
    [
        (None, ["gpu-a", "gpu-b", "gpu-c", "gpu-d"]),
        ("2", ["2"]),
        ("3,1", ["3", "1"]),
        ("gpu-c", ["gpu-c"]),
        ("1,9,2", ["1"]),  # CUDA ignores what follows an unknown entry
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),  # SLURM's word for a job without GPUs
    ],
)
def test_a_schedulers_choice_is_respected(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, narrowed: str | None, devices: list[str]
) -> None:
    if narrowed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", narrowed)
    assert [gpu.device for gpu in lease.visible_gpus()] == devices


def test_reads_the_listing_of_nvidia_smi() -> None:
    listing = """\
GPU 0: NVIDIA A100-SXM4-80GB (UUID: GPU-5c8d0b9e-0000-1111-2222-333344445555)
GPU 1: NVIDIA A100-SXM4-80GB (UUID: GPU-77aa0b9e-0000-1111-2222-333344445555)
  MIG 3g.40gb     Device  0: (UUID: MIG-0a1b2c3d-aaaa-bbbb-cccc-000000000001)
  MIG 3g.40gb     Device  1: (UUID: MIG-0a1b2c3d-aaaa-bbbb-cccc-000000000002)
"""
    assert lease.parse_listing(listing) == [
        "GPU-5c8d0b9e-0000-1111-2222-333344445555",
        "MIG-0a1b2c3d-aaaa-bbbb-cccc-000000000001",
        "MIG-0a1b2c3d-aaaa-bbbb-cccc-000000000002",
    ]


def test_other_users_may_join(jobs: Jobs, tmp_path: Path) -> None:
    with lease.lease(1):
        folder = tmp_path / "leases"
        assert folder.stat().st_mode & 0o7777 == 0o1777
        assert {path.stat().st_mode & 0o666 for path in folder.iterdir()} == {0o666}


def test_a_lease_is_not_kept_by_programs_the_job_started(jobs: Jobs) -> None:
    with lease.lease(4):
        child = subprocess.Popen(["sleep", "1000"], close_fds=False)
    try:
        assert {row["state"] for row in lease.status()} == {"free"}
    finally:
        child.kill()
        child.wait()


def test_a_removed_lease_file_does_not_break_the_queue(jobs: Jobs, tmp_path: Path) -> None:
    with lease.lease(4):
        pass
    for path in (tmp_path / "leases").iterdir():
        path.unlink()
    with lease.lease(4, "again"):
        assert [row["for"] for row in lease.status()] == ["again"] * 4


def test_the_view_tells_who_holds_and_who_waits(jobs: Jobs) -> None:
    jobs.start("llama/arc_easy/choice", gpus=1, seconds=1000)
    (jobs.notes / "llama/arc_easy").mkdir(parents=True)
    until(lambda: jobs.has_started("llama/arc_easy/choice"))
    jobs.start("large", gpus=4, seconds=0)
    until(lambda: waiting() == 1)
    view = subprocess.run(
        [sys.executable, "-m", "alignment_calibration.scoring.lease"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [line.split() for line in view.splitlines()]
    holder, waiter = jobs.processes["llama/arc_easy/choice"].pid, jobs.processes["large"].pid
    assert rows[0] == ["what", "state", "user", "pid", "since", "for"]
    assert rows[1][:2] == ["gpu-a", "held"]
    assert rows[1][-1] == "llama/arc_easy/choice"
    assert str(holder) in rows[1]
    assert [row[:2] for row in rows[2:5]] == [
        ["gpu-b", "free"],
        ["gpu-c", "free"],
        ["gpu-d", "free"],
    ]
    assert rows[5][:3] == ["4", "GPUs", "waits"]
    assert str(waiter) in rows[5]


def test_an_unusable_folder_is_an_error(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_LEASES", str(tmp_path / "file" / "leases"))
    with pytest.raises(UserError, match="ALIGNMENT_CALIBRATION_LEASES"), lease.lease(1):
        pass
