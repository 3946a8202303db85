"""GPUs of this machine, leased to one job at a time.

Snakemake counts GPUs but assigns none, so each score job leases its own: one file per GPU in a
node-local folder, held with `flock` as long as the process lives, so that the kernel gives the GPU
back even after SIGKILL. Files are named by the GPU's UUID, since inside a container or a cgroup
every job sees its GPU as number 0.

Jobs are served in the order in which they came: a job draws a ticket, waits for the live tickets
before its own that want one of the same GPUs, and takes all its GPUs at once when they are free.
Nobody overtakes, so a job of several GPUs does not starve among jobs of one, and nobody waits with
a part of its GPUs in hand, so two such jobs cannot block each other.

`python -m alignment_calibration.scoring.lease` shows who holds and who waits.

Environment:
    CUDA_VISIBLE_DEVICES: only these GPUs are leased, as a scheduler may have set it.
    ALIGNMENT_CALIBRATION_LEASES: the folder (default `/tmp/alignment-calibration-leases`). It
        must lie on a disk of this machine and be the same for all jobs that share its GPUs.
        What others may have put into it is left alone: only plain files of the names above are
        opened, and never through a link.
    ALIGNMENT_CALIBRATION_GPUS: names of the GPUs, in place of those that `nvidia-smi` lists.
"""

import argparse
import contextlib
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment_calibration.errors import UserError, one_line, run_cli, shorten

POLL_SECONDS = 0.1  # only the first in the queue polls; the others sleep until it has gone
PATIENCE_SECONDS = 5.0  # a job holds the queue for an instant; longer, and people are told
LISTING_SECONDS = 60.0  # drivers that keep no state take some seconds a GPU
NOTHING_TO_LIST = {6, 9}  # what nvidia-smi ends with where it finds no GPU, or no driver
LARGEST_NOTE = 65536  # bytes of what a lease or ticket says


@dataclass(frozen=True)
class Gpu:
    """A GPU: its UUID, which names its lease, and its name in CUDA_VISIBLE_DEVICES."""

    uuid: str
    device: str


def lease(gpus: int, holder: str, held: contextlib.ExitStack) -> tuple[str, ...]:
    """Take `gpus` GPUs, having waited in the queue until they are free.

    Nothing is set in this process: give the returned names to `show_only` before torch is imported.
    A machine without GPUs leases nothing and gives an empty tuple.

    Args:
        gpus: how many.
        holder: what the GPUs are held for, shown to people.
        held: gives the GPUs back when it is unwound; without that, the kernel does when this
            process is gone, and with it all that it had on them.

    Raises:
        UserError: if fewer GPUs are visible than asked for, if they cannot be listed, or if the
            folder cannot be used.
    """
    visible = visible_gpus() if gpus else []
    if not visible:
        return ()
    # Of the parts of split GPUs CUDA shows a process only one.
    usable = [gpu for gpu in visible if gpus == 1 or not _is_part(gpu.uuid)]
    if gpus > len(usable):
        whole = "" if len(usable) == len(visible) else " whole"
        raise UserError(
            f"{holder}: needs {gpus}{whole} GPUs, but this machine or its scheduler "
            f"offers {len(usable)} ({', '.join(gpu.device for gpu in visible)})"
        )
    with _usable_folder() as folder:
        return tuple(gpu.device for gpu in _wait_for(gpus, usable, folder, holder, held))


def show_only(devices: Sequence[str]) -> None:
    """Let torch see these GPUs alone, by the names that `lease` gives; none are no restriction."""
    if devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        # By itself CUDA counts the fastest first, and nvidia-smi, which leases go by, by slots.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def visible_gpus() -> list[Gpu]:
    """The GPUs this process may use, in their order, found without importing torch.

    Raises:
        UserError: if they cannot be listed.
    """
    uuids = _installed_uuids()
    narrowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if narrowed is None:
        return [Gpu(uuid, uuid) for uuid in uuids]
    visible: list[Gpu] = []
    for device in (part.strip() for part in narrowed.split(",")):
        if device.isdecimal():
            if len(uuids) > 1 and any(map(_is_part, uuids)):
                raise UserError(
                    f"CUDA_VISIBLE_DEVICES={narrowed}: here are GPUs split by MIG, and a number "
                    "does not tell which part is meant; give the names that `nvidia-smi -L` shows"
                )
            matching = uuids[int(device) : int(device) + 1]
        else:
            matching = [uuid for uuid in uuids if device and uuid.startswith(device)]
        if not matching:  # CUDA, too, ignores all that follows an unknown entry
            break
        visible.append(Gpu(matching[0], device))
    return visible


def _is_part(uuid: str) -> bool:
    """Whether it is a part of a GPU that is split by MIG."""
    return uuid.startswith("MIG-")


def _installed_uuids() -> list[str]:
    given = os.environ.get("ALIGNMENT_CALIBRATION_GPUS")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=LISTING_SECONDS
        )
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _unlisted(one_line(error)) from None
    if listing.returncode in NOTHING_TO_LIST:
        return []
    if listing.returncode:
        raise _unlisted(one_line(listing.stderr or listing.stdout))
    return parse_listing(listing.stdout)


def _unlisted(reason: str) -> UserError:
    """Not a machine without GPUs: on that guess all jobs would run on the first of them."""
    return UserError(
        f"nvidia-smi -L: does not tell this machine's GPUs ({reason}); mend it, or name them, as "
        "in `export ALIGNMENT_CALIBRATION_GPUS=0,1` (nothing behind the `=` if there are none)"
    )


def parse_listing(listing: str) -> list[str]:
    """The UUIDs in the output of `nvidia-smi -L`; of a GPU split by MIG, those of its parts."""
    uuids: list[str] = []
    for line in listing.splitlines():
        if match := re.search(r"\(UUID: ((?:GPU|MIG)-[^)\s]+)\)", line):
            if match[1].startswith("MIG-") and uuids and uuids[-1].startswith("GPU-"):
                uuids.pop()
            uuids.append(match[1])
    return uuids


@contextlib.contextmanager
def _usable_folder() -> Iterator[Path]:
    """The folder of the leases, shared by all users of the machine like /tmp itself.

    Raises:
        UserError: if the folder is not safe to share, or a file in it cannot be used.
    """
    folder = Path(
        os.environ.get("ALIGNMENT_CALIBRATION_LEASES") or "/tmp/alignment-calibration-leases"
    )
    try:
        try:
            folder.mkdir(mode=0o1777, parents=True)
            folder.chmod(0o1777)  # whatever the umask
        except FileExistsError:
            _check(folder)
        yield folder
    except OSError as error:
        raise _unusable(error.filename or folder, str(error.strerror)) from None


def _check(folder: Path) -> None:
    """Refuse a folder that leads elsewhere, or out of which others could take our files."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(folder, "a link or a file, not a folder")
    own = found.st_uid == os.getuid()
    others = stat.S_IWOTH if own else stat.S_IWOTH | stat.S_IWGRP
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise _unusable(folder, "others may remove files of any user there: it lacks `chmod +t`")


def _unusable(path: str | Path, reason: str) -> UserError:
    return UserError(
        f"{path}: GPU leases cannot be kept there ({reason}); "
        "set ALIGNMENT_CALIBRATION_LEASES to a folder on this machine that you may write to"
    )


def _wait_for(
    count: int, visible: Sequence[Gpu], folder: Path, holder: str, held: contextlib.ExitStack
) -> list[Gpu]:
    """Queue for `count` of the visible GPUs; their locks are left to `held`."""
    user = os.environ.get("USER") or str(os.getuid())  # containers may know no name
    about = {"user": user, "pid": os.getpid(), "for": holder}
    with contextlib.ExitStack() as waiting:
        number = _draw_ticket(folder, {**about, "since": _now(), "gpus": count}, visible, waiting)
        _wait_for_turn(number, {gpu.uuid for gpu in visible}, folder)
        told = False
        while len(leased := _take(count, visible, folder, held)) < count:
            if not told:
                _tell(f"waiting for {count} of {len(visible)} GPUs")
                told = True
            time.sleep(POLL_SECONDS)
        for gpu in leased:
            _write(_lease_file(folder, gpu.uuid), {**about, "since": _now()})
    return leased


def _draw_ticket(
    folder: Path, about: Mapping[str, Any], visible: Sequence[Gpu], waiting: contextlib.ExitStack
) -> int:
    """The number of a file after all others in the queue, locked and removed by `waiting`."""
    with _queue(folder):
        for path in sorted(set(folder.glob("ticket-*")) - set(_tickets(folder).values())):
            _tell(f"{path}: not a ticket, left alone")
        number = 1 + max(_numbered(folder), default=0)
        ticket = folder / f"ticket-{number:09d}"
        handle = _open(ticket)
        waiting.callback(os.close, handle)
        waiting.callback(ticket.unlink, missing_ok=True)  # before the lock goes
        fcntl.flock(handle, fcntl.LOCK_EX)
        _write(ticket, {**about, "wants": [gpu.uuid for gpu in visible]})
    return number


def _wait_for_turn(number: int, wanted: set[str], folder: Path) -> None:
    """Sleep until no live ticket before this one wants one of the same GPUs."""
    told = False
    while True:
        with _queue(folder):
            live = _live_tickets(folder)
        before = [path for other, path in live.items() if other < number]
        rivals = [path for path in before if wanted & _wants(path)]
        if not rivals:
            return
        if not told:
            _tell(f"waiting for {len(rivals)} jobs that came before; {rivals[-1]} is the last")
            told = True
        # Those who come later wait for us in turn, so one ticket is enough to watch.
        with contextlib.suppress(FileNotFoundError), _opened(rivals[-1]) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH)


def _live_tickets(folder: Path) -> dict[int, Path]:
    """Tickets whose owner lives, in order; the others are removed. Call inside `_queue`."""
    live = {}
    for number, path in _tickets(folder).items():
        try:
            held = _is_held(path)
        except PermissionError:  # no ticket of a job: those are open to all
            continue
        if held:
            live[number] = path
        else:
            with contextlib.suppress(OSError):  # of another user
                path.unlink()
    return live


def _tickets(folder: Path) -> dict[int, Path]:
    """The tickets by number, in order."""
    tickets = {}
    for number, path in sorted(_numbered(folder).items()):
        with contextlib.suppress(FileNotFoundError):
            if _is_plain(path.lstat()):
                tickets[number] = path
    return tickets


def _numbered(folder: Path) -> dict[int, Path]:
    """Whatever has the name of a ticket, by number."""
    names = {path: re.fullmatch(r"ticket-([0-9]{9,})", path.name) for path in folder.iterdir()}
    return {int(match[1]): path for path, match in names.items() if match}


def _is_plain(found: os.stat_result) -> bool:
    """Whether it is a file of one name: of two, one may be that of somebody's data."""
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1


def _wants(ticket: Path) -> set[str]:
    """The GPUs one of which the owner of a ticket waits for."""
    wants = _read(ticket).get("wants")
    return {str(gpu) for gpu in wants} if isinstance(wants, list) else set()


def _take(
    count: int, visible: Sequence[Gpu], folder: Path, held: contextlib.ExitStack
) -> list[Gpu]:
    """Lock `count` of the GPUs if so many are free, else none."""
    taken: list[Gpu] = []
    with contextlib.ExitStack() as attempt:
        for gpu in visible:
            if len(taken) < count and _lock_lease(_lease_file(folder, gpu.uuid), attempt):
                taken.append(gpu)
        if len(taken) < count:
            return []
        held.push(attempt.pop_all())
    return taken


def _lock_lease(path: Path, held: contextlib.ExitStack) -> bool:
    """Lock a lease file without waiting; `held` unlocks it by closing it."""
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        current = os.path.samestat(os.fstat(handle), os.lstat(path))
    except (BlockingIOError, FileNotFoundError):
        current = False
    if current:  # not removed meanwhile, as cleaners of /tmp do with files they find old
        held.callback(os.close, handle)
    else:
        os.close(handle)
    return current


@contextlib.contextmanager
def _queue(folder: Path) -> Iterator[None]:
    """Alone with the tickets, for an instant."""
    path = folder / "queue"
    handle = _open(path)
    try:
        waited, told = 0.0, PATIENCE_SECONDS
        while not _locked(handle):
            if waited >= told:
                _tell(f"waiting for {path}, held by another process (`fuser -v {path}` names it)")
                told *= 4
            time.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        yield
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    """Lock a file if nobody else has."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    """A handle of a file that any user may lock, made if missing.

    Not opened with O_CREAT if it exists: in folders like /tmp the kernel refuses that for files
    of other users. Not inherited by programs that the job starts.

    Raises:
        UserError: if the path is no plain file.
    """
    with contextlib.suppress(FileNotFoundError):
        return _open_plain(path, os.O_RDWR)
    try:
        handle = _open_plain(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return _open_plain(path, os.O_RDWR)
    os.fchmod(handle, 0o666)  # whatever the umask
    return handle


def _open_plain(path: Path, flags: int) -> int:
    """A handle of a plain file: never through a link, never waiting for a pipe's other end."""
    safe = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    handle = os.open(path, flags | safe, 0o666)
    if not _is_plain(os.fstat(handle)):
        os.close(handle)
        raise _unusable(path, "not a plain file of one name")
    return handle


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A handle for reading."""
    handle = _open_plain(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_held(path: Path) -> bool:
    """Whether a living process holds the file's lock."""
    with contextlib.suppress(FileNotFoundError), _opened(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _lease_file(folder: Path, uuid: str) -> Path:
    return folder / ("gpu-" + re.sub(r"[^A-Za-z0-9_.-]", "_", uuid))


def _write(path: Path, about: Mapping[str, Any]) -> None:
    handle = _open(path)
    try:
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(about).encode() + b"\n")
    finally:
        os.close(handle)


def _read(path: Path) -> dict[str, Any]:
    """What a lease or ticket says; nothing, if it is just being written or was removed."""
    with contextlib.suppress(OSError, ValueError, RecursionError), _opened(path) as handle:
        about = json.loads(os.read(handle, LARGEST_NOTE))
        if isinstance(about, dict):
            return about
    return {}


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _tell(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def status() -> list[dict[str, str]]:
    """A row per visible GPU and per waiting job: `what`, `state`, `user`, `pid`, `since`, `for`."""
    rows = []
    with _usable_folder() as folder:
        for gpu in visible_gpus():
            path = _lease_file(folder, gpu.uuid)
            held = _is_held(path)
            rows.append(_row(gpu.uuid, "held" if held else "free", _read(path) if held else {}))
        with _queue(folder):
            tickets = [_read(path) for path in _live_tickets(folder).values()]
    rows += [_row(f"{about.get('gpus', '?')} GPUs", "waits", about) for about in tickets]
    return rows


def _row(what: str, state: str, about: Mapping[str, Any]) -> dict[str, str]:
    told = {"what": what} | {
        key: str(about.get(key, "")) for key in ("user", "pid", "since", "for")
    }
    shown = {key: shorten(text, 100) for key, text in told.items()}  # files that anybody may write
    return {"what": shown.pop("what"), "state": state, **shown}


def main() -> None:
    """Print who holds and who waits for the GPUs of this machine."""
    argparse.ArgumentParser(
        prog="alignment_calibration.scoring.lease", description=main.__doc__
    ).parse_args()
    rows = status()
    if not rows:
        print("no GPU on this machine: jobs lease nothing")
        return
    titles = {key: key for key in rows[0]}
    widths = {key: max(len(row[key]) for row in [titles, *rows]) for key in titles}
    for row in [titles, *rows]:
        print("  ".join(row[key].ljust(widths[key]) for key in titles).rstrip())


if __name__ == "__main__":
    run_cli(main)
