"""Leases of GPUs, tried with real processes on injected GPUs."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alignment_calibration.errors import UserError, run_cli
from alignment_calibration.scoring import lease

PACKAGE = Path(lease.__file__).parents[2]

# Notes when it got its GPUs and when it let them go, on the clock that all processes share.
JOB = """
import sys, time
from contextlib import ExitStack
from alignment_calibration.scoring.lease import lease
gpus, seconds, notes, name = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
with ExitStack() as held:
    devices = lease(gpus, name, held)
    start = time.monotonic()
    with open(f"{notes}/{name}.start", "w") as stream:
        stream.write(f"{start} {','.join(devices)}")
    time.sleep(seconds)
    with open(f"{notes}/{name}.end", "w") as stream:
        stream.write(str(time.monotonic()))
"""


@contextlib.contextmanager
def leased(gpus: int, holder: str = "this job") -> Iterator[tuple[str, ...]]:
    """GPUs for the length of a block."""
    with contextlib.ExitStack() as held:
        yield lease.lease(gpus, holder, held)


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
    with leased(2) as devices:
        assert devices == ()
    assert not (tmp_path / "leases").exists()


def test_parts_of_a_split_gpu_are_leased_by_name_and_one_at_a_time(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "MIG-a,MIG-b,GPU-c")
    with leased(1) as one, leased(1) as two:
        assert (one, two) == (("MIG-a",), ("MIG-b",))
    with (
        pytest.raises(UserError, match=r"needs 2 whole GPUs, .* offers 1"),
        leased(2),
    ):
        pass
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")  # of the parts, or the second GPU?
    with pytest.raises(UserError, match=r"CUDA_VISIBLE_DEVICES=1: .*MIG"):
        lease.visible_gpus()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-b")
    assert [gpu.uuid for gpu in lease.visible_gpus()] == ["MIG-b"]
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "MIG-a")  # as a container may see it
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert [gpu.uuid for gpu in lease.visible_gpus()] == ["MIG-a"]


def test_a_job_on_the_cpu_waits_for_nobody(jobs: Jobs) -> None:
    with leased(4):
        jobs.start("cpu", gpus=0, seconds=0)
        jobs.wait()
    assert jobs.started("cpu")[1] == [""]


@pytest.fixture
def nvidia_smi(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Puts a program of this name, of so many lines of shell, before all others."""
    monkeypatch.delenv("ALIGNMENT_CALIBRATION_GPUS")
    monkeypatch.setattr(lease, "LISTING_SECONDS", 1.0)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def put(lines: str) -> None:
        (programs / "nvidia-smi").write_text(f"#!/bin/sh\n{lines}\n")
        (programs / "nvidia-smi").chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo 'Unable to determine the device handle' >&2; exit 255", "the device handle"),
        ("echo 'NVML: Driver/library version mismatch'; exit 18", "version mismatch"),
        ("exec sleep 60", "timed out after 1"),
    ],
)
def test_gpus_that_cannot_be_listed_are_not_taken_for_none(
    nvidia_smi: Callable[[str], None], lines: str, said: str
) -> None:
    nvidia_smi(lines)
    with (
        pytest.raises(UserError, match=rf"nvidia-smi -L: .*{said}.* ALIGNMENT_CALIBRATION_GPUS="),
        leased(1),
    ):
        pass


@pytest.mark.parametrize(
    "lines",
    [
        "echo 'No devices were found'; exit 6",
        "echo 'NVIDIA-SMI has failed because it could not communicate with the driver'; exit 9",
        "echo 'No devices found.'",
    ],
)
def test_a_machine_that_lists_no_gpu_has_none(
    nvidia_smi: Callable[[str], None], lines: str
) -> None:
    nvidia_smi(lines)
    assert lease.visible_gpus() == []


def test_cuda_counts_gpus_as_leases_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for a user who says otherwise."""
    for given, expected in {"": "PCI_BUS_ID", "FASTEST_FIRST": "FASTEST_FIRST"}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
        monkeypatch.setenv("CUDA_DEVICE_ORDER", given)
        if not given:
            monkeypatch.delenv("CUDA_DEVICE_ORDER")
        lease.show_only(["3", "1"])
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3,1"
        assert os.environ["CUDA_DEVICE_ORDER"] == expected


def test_more_gpus_than_there_are_is_an_error(jobs: Jobs) -> None:
    with (
        pytest.raises(UserError, match=r"llama: needs 5 GPUs, .* offers 4"),
        leased(5, "llama"),
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
    with leased(1):
        folder = tmp_path / "leases"
        assert folder.stat().st_mode & 0o7777 == 0o1777
        assert {path.stat().st_mode & 0o666 for path in folder.iterdir()} == {0o666}


def test_a_lease_is_not_kept_by_programs_the_job_started(jobs: Jobs) -> None:
    with leased(4):
        child = subprocess.Popen(["sleep", "1000"], close_fds=False)
    try:
        assert {row["state"] for row in lease.status()} == {"free"}
    finally:
        child.kill()
        child.wait()


def test_a_removed_lease_file_does_not_break_the_queue(jobs: Jobs, tmp_path: Path) -> None:
    with leased(4):
        pass
    for path in (tmp_path / "leases").iterdir():
        path.unlink()
    with leased(4, "again"):
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
    with pytest.raises(UserError, match="ALIGNMENT_CALIBRATION_LEASES"), leased(1):
        pass


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of leases that other users can reach, and one GPU."""
    folder = Path(tempfile.mkdtemp(prefix="leases-"))
    folder.chmod(0o1777)
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_LEASES", str(folder))
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "gpu-a")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield folder
    shutil.rmtree(folder)


def leased_by_somebody() -> tuple[int, str, str]:
    """Lease the GPU, then look at the leases, as a user who owns nothing there.

    Returns:
        Exit status, standard output, standard error. The process is a fork: an interpreter may be
        installed where others than its owner cannot start it.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if child == 0:
            status = 70
            try:
                if os.getuid() == 0:  # whom no permission stops
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                sys.stdout, sys.stderr = out, err
                run_cli(_lease_and_look)
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
            finally:
                out.flush()
                err.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read(), err.read()


def _lease_and_look() -> None:
    with leased(1) as devices:
        print(*devices, [row["state"] for row in lease.status()])


def plant(path: Path, kind: str, elsewhere: Path) -> None:
    """Put something into the folder that no job would."""
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(elsewhere)
        case "second name":
            path.hardlink_to(elsewhere)
        case "file":
            path.write_text("of somebody")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((f"ticket-{end}", "file") for end in ("", "x", "1", "00000000x", "٠٠٠٠٠٠٠٠١", "-1")),
        *(
            ("ticket-000000007", kind)
            for kind in ("folder", "pipe", "link", "second name")
        ),
    ],
)  # fmt: skip
def test_what_is_no_ticket_is_left_alone(
    shared: Path, tmp_path: Path, name: str, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    precious = shared / "precious"  # a second name must lie on the same disk
    precious.write_text("a year's work")
    plant(shared / name, kind, precious)
    before = os.lstat(shared / name)
    with leased(1) as devices:
        assert devices == ("gpu-a",)
        assert [row["state"] for row in lease.status()] == ["held"]
    assert os.path.samestat(before, os.lstat(shared / name))
    assert precious.read_text() == "a year's work"
    assert capfd.readouterr().err == f"{shared / name}: not a ticket, left alone\n"


@pytest.mark.parametrize("name", ["queue", "gpu-gpu-a"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "second name"])
def test_what_is_no_plain_file_is_refused(shared: Path, name: str, kind: str) -> None:
    precious = shared / "precious"
    precious.write_text("a year's work")
    plant(shared / name, kind, precious)
    refusal = rf"{shared / name}: GPU leases cannot be kept there"
    with pytest.raises(UserError, match=refusal), leased(1):
        pass
    with pytest.raises(UserError, match=refusal):
        lease.status()
    assert precious.read_text() == "a year's work"


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes devices")
def test_a_device_is_refused(shared: Path) -> None:
    os.mknod(shared / "queue", 0o20666, os.makedev(1, 5))  # /dev/zero, which never ends
    with pytest.raises(UserError, match="not a plain file"), leased(1):
        pass


def test_a_ticket_that_nobody_may_read_is_passed_over(shared: Path) -> None:
    (shared / "ticket-000000001").touch(mode=0)
    assert leased_by_somebody() == (0, "gpu-a ['held']\n", "")
    assert (shared / "ticket-000000001").exists()


@pytest.mark.parametrize("name", ["queue", "gpu-gpu-a"])
def test_a_file_that_nobody_may_open_is_named(shared: Path, name: str) -> None:
    (shared / name).touch(mode=0)
    status, _, error = leased_by_somebody()
    assert status == 1
    assert error.startswith(f"error: {shared / name}: GPU leases cannot be kept there")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "note",
    [
        "[" * 100_000,
        "[1]",
        '{"wants": 5}',
        '{"wants": [["gpu-a"], {}], "for": {"a": 1}}',
        '{"wants": [], "for": "\\u001b[2J"}',
        "\0",
    ],
)
def test_a_held_ticket_may_say_anything(shared: Path, note: str) -> None:
    ticket = shared / "ticket-000000001"
    ticket.write_text(note)
    with open(ticket) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with leased(1) as devices:
            assert devices == ("gpu-a",)
            rows = lease.status()
    assert [row["state"] for row in rows] == ["held", "waits"]
    assert all(text.isprintable() for row in rows for text in row.values())


def test_who_waits_for_another_says_so(jobs: Jobs, tmp_path: Path) -> None:
    """Somebody holds the queue, then a ticket before ours; both are told."""
    (tmp_path / "leases").mkdir()
    (tmp_path / "leases").chmod(0o1777)
    ticket = tmp_path / "leases" / "ticket-000000001"
    ticket.write_text(json.dumps({"wants": ["gpu-a"]}))
    queue = tmp_path / "leases" / "queue"
    program = "from contextlib import ExitStack; from alignment_calibration.scoring import lease\n"
    program += "lease.PATIENCE_SECONDS = 0.1; lease.lease(1, 'job', ExitStack()); print('leased')"
    with open(ticket) as held, open(queue, "w") as all_held:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.flock(all_held, fcntl.LOCK_EX)
        job = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert job.stderr is not None
        assert job.stderr.readline().startswith(f"waiting for {queue}, held by another process")
        fcntl.flock(all_held, fcntl.LOCK_UN)
        while (line := job.stderr.readline()).startswith(f"waiting for {queue}"):
            continue
        assert line == f"waiting for 1 jobs that came before; {ticket} is the last\n"
    assert job.communicate(timeout=60) == ("leased\n", "")


@pytest.mark.parametrize("link", ["to a folder", "to nothing"])
def test_a_folder_that_is_a_link_is_refused(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if link == "to a folder":
        elsewhere.mkdir()
        (elsewhere / "ticket-000000001").write_text("a year's work")
    (tmp_path / "link").symlink_to(elsewhere)
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_LEASES", str(tmp_path / "link"))
    with pytest.raises(UserError, match="link: GPU leases cannot be kept there"), leased(1):
        pass
    with pytest.raises(UserError, match="link: GPU leases cannot be kept there"):
        lease.status()
    assert not elsewhere.exists() or len(list(elsewhere.iterdir())) == 1


@pytest.mark.parametrize(
    ("mode", "usable"), [(0o1777, True), (0o755, False), (0o777, False), (0o775, False)]
)
def test_another_users_folder_needs_the_sticky_bit(shared: Path, mode: int, usable: bool) -> None:
    shared.chmod(mode)
    if os.getuid() != 0:
        pytest.skip("needs two users")
    status, _, error = leased_by_somebody()
    assert status == (0 if usable else 1)
    assert error.startswith("" if usable else f"error: {shared}")
    assert error.count("\n") == (0 if usable else 1)
    assert usable or not list(shared.iterdir())


def test_ones_own_folder_may_be_private_or_sticky_but_not_open_to_all(shared: Path) -> None:
    for mode in (0o700, 0o775, 0o1777):
        shared.chmod(mode)
        with leased(1) as devices:
            assert devices == ("gpu-a",)
    shared.chmod(0o777)
    with pytest.raises(UserError, match=r"chmod \+t"), leased(1):
        pass
