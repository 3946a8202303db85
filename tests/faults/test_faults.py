"""What goes wrong on real machines: each fault ends in a correct result or in one clear error.

The kills at random moments: `FAULT_MOMENTS=50 python -m pytest tests/faults -k killed` does all 50.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files import atomic as files
from alignment_calibration.files import logits
from alignment_calibration.files.parquet import (
    read_identity,
    read_parquet,
    values_digest,
    write_parquet,
)
from tests.support.study import ALL_MESSAGES, CHECKPOINTS, STUDY, TABLES, Study, environment

pytestmark = pytest.mark.slow

MOMENTS = int(os.environ.get("FAULT_MOMENTS", "4"))
CELL = Path(f"results/{STUDY}/logits/base/words/continuation.parquet")
RECEIPT = CELL.with_suffix(".receipt.json")
MODEL = f"results/{STUDY}/models/base.json"
QUESTIONS = f"results/{STUDY}/questions/words/continuation.parquet"
CHECKPOINT = CHECKPOINTS["base"]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose questions and models are there, and nothing is scored."""
    folder = tmp_path_factory.mktemp("prepared")
    tasks = {"words": {"continuation": "demo_words", "limit": 6}}
    study = Study.reduced(folder, tasks, ["continuation_sum", "continuation_min"])
    models = [f"results/{STUDY}/models/{model}.json" for model in ("base", "aligned")]
    run = study.run(targets=[*models, QUESTIONS])
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="session")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The same study run to its end, and the seconds that took."""
    folder = copied(prepared, tmp_path_factory.mktemp("undisturbed") / "study")
    started = time.monotonic()
    run = Study(folder).run()
    assert run.returncode == 0, run.stderr
    return folder, time.monotonic() - started


def copied(source: Path, target: Path) -> Path:
    """A copy of a folder, dates and all."""
    shutil.copytree(source, target)
    return target


def score_processes(folder: Path) -> list[int]:
    """Processes that score cells of the study in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            scores = b"alignment_calibration.scoring" in (process / "cmdline").read_bytes()
            if scores and Path(os.readlink(process / "cwd")) == folder.resolve():
                found.append(int(process.name))
        except OSError:  # it has just ended
            continue
    return found


def until(condition: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("number", range(MOMENTS))
def test_a_run_killed_at_a_random_moment_ends_like_any_other(
    number: int, prepared: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    reference, seconds = undisturbed
    folder = copied(prepared, tmp_path / "study")
    moment = random.Random(number).uniform(0, seconds)
    run = Study(folder).start()
    if number % 2:  # a scoring job is killed, some time after it started
        until(lambda: score_processes(folder) or run.poll() is not None, 120)
        time.sleep(moment / 3)
        for process in score_processes(folder)[:1]:
            os.kill(process, signal.SIGKILL)
        run.wait(timeout=600)
    else:  # Snakemake itself is killed: its scoring jobs must end with it
        time.sleep(moment)
        run.kill()
        run.wait()
        until(lambda: not score_processes(folder), 60)
        unlocked = Study(folder).run("--unlock")
        assert unlocked.returncode == 0, unlocked.stderr
    finished = Study(folder).cells()
    resumed = Study(folder).run()
    assert resumed.returncode == 0, resumed.stderr
    assert Study(folder).tables() == Study(reference).tables()
    assert Study(folder).leftovers() == []
    after = Study(folder).cells()
    assert {cell: after[cell] for cell in finished} == finished, "a finished cell was scored again"


def scoring_jobs(folder: Path) -> int:
    """How many scoring jobs a dry run lists."""
    plan = Study(folder).run("--dry-run", ALL_MESSAGES)
    assert plan.returncode == 0, plan.stderr
    return plan.stdout.count("rule score_model:")


def test_touched_files_are_not_made_again(undisturbed: tuple[Path, float], tmp_path: Path) -> None:
    folder = copied(undisturbed[0], tmp_path / "study")
    draw = random.Random(0)
    for path in sorted((folder / "results").rglob("*")):
        moment = time.time() + draw.uniform(0, 100)
        os.utime(path, (moment, moment))
    plan = Study(folder).run("--dry-run")
    assert "Nothing to be done" in plan.stdout + plan.stderr, plan.stdout


def test_a_clock_that_jumped_costs_no_cell(undisturbed: tuple[Path, float], tmp_path: Path) -> None:
    folder = copied(undisturbed[0], tmp_path / "study")
    draw = random.Random(1)
    for path in sorted((folder / "results").rglob("*")):
        if path.is_file():  # far in the future, or long ago
            moment = draw.choice([4_000_000_000, 1_000_000_000]) + draw.uniform(0, 100)
            os.utime(path, (moment, moment))
    before = Study(folder).cells()
    run = Study(folder).run()
    if run.returncode:  # Snakemake takes no result that is older than what it was made of
        assert "clock skew" in run.stderr
        subprocess.run(["find", "results", "-newermt", "now", "-exec", "touch", "{}", "+"],
                       cwd=folder, check=True)  # fmt: skip
        run = Study(folder).run()
    assert run.returncode == 0, run.stderr
    assert Study(folder).cells() == before
    assert Study(folder).tables() == Study(undisturbed[0]).tables()


def test_results_copied_into_a_fresh_clone_are_not_scored_again(
    undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    shutil.copy(undisturbed[0] / "study.yaml", folder)
    subprocess.run(["cp", "-r", str(undisturbed[0] / "results"), str(folder)], check=True)
    before = Study(folder).cells()
    run = Study(folder).run()
    assert run.returncode == 0, run.stderr
    assert Study(folder).cells() == before
    assert Study(folder).tables() == Study(undisturbed[0]).tables()


def score(folder: Path) -> subprocess.CompletedProcess[str]:
    """Score one cell as the workflow does; the last line tells whether torch was imported."""
    program = (
        "import runpy, sys\n"
        "try: runpy.run_module('alignment_calibration.scoring', run_name='__main__')\n"
        "finally: print('torch' in sys.modules)"
    )
    return subprocess.run(
        [sys.executable, "-c", program, "--model", MODEL, "--dtype", "float32", "--device", "cpu",
         "--questions", QUESTIONS, "--receipts", str(RECEIPT)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )  # fmt: skip


def test_a_lost_receipt_is_given_again_without_importing_torch(
    undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    folder = copied(undisturbed[0], tmp_path / "study")
    before = Study(folder).cells()
    receipt = (folder / RECEIPT).read_bytes()
    (folder / RECEIPT).unlink()
    run = score(folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "False"
    assert Study(folder).cells() == before
    assert (folder / RECEIPT).read_bytes() == receipt


def test_snakemake_may_delete_all_it_knows_of_and_loses_no_cell(
    undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    study = Study(copied(undisturbed[0], tmp_path / "study"))
    before = study.cells()
    run = study.run("--delete-all-output")
    assert run.returncode == 0, run.stderr
    assert not (study.folder / RECEIPT).exists()
    run = study.run()
    assert run.returncode == 0, run.stderr
    assert study.cells() == before
    assert study.tables() == Study(undisturbed[0]).tables()


#: Makes every scoring job fail as soon as it would load a model.
NO_MODEL_LOADS = """\
import sys
if "alignment_calibration.scoring" in sys.orig_argv:
    sys.modules["torch"] = None
"""


def test_what_a_failed_job_leaves_is_never_taken_for_its_result(
    undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    """An edit, whose jobs fail once; Snakemake notes the edit all the same."""
    folder = copied(undisturbed[0], tmp_path / "study")
    study = Study(folder, targets=("all_cells", *TABLES))
    failing = tmp_path / "failing"
    failing.mkdir()
    (failing / "sitecustomize.py").write_text(NO_MODEL_LOADS)
    path = f"{failing}{os.pathsep}{environment()['PYTHONPATH']}"
    study.write({**study.config, "scoring": {"dtype": "bfloat16"}})
    for _ in range(2):
        run = study.run(env=environment(PYTHONPATH=path))
        assert run.returncode != 0
        assert study.cells() == {}
        assert not (folder / RECEIPT).exists()
    run = study.run()
    assert run.returncode == 0, run.stderr
    assert read_identity(folder / CELL)["dtype"] == "bfloat16"
    before, after = Study(undisturbed[0]).tables(), study.tables()
    assert after["metrics.csv"] != before["metrics.csv"]


@pytest.fixture
def cell(undisturbed: tuple[Path, float], tmp_path: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A copy of a scored cell, its receipt, and the identity that it must have."""
    path, receipt = tmp_path / CELL.name, tmp_path / RECEIPT.name
    shutil.copy(undisturbed[0] / CELL, path)
    shutil.copy(undisturbed[0] / RECEIPT, receipt)
    identity = read_identity(path)
    assert logits.stored_digest(path, identity)
    return path, receipt, identity


def test_a_logit_file_cut_short_is_found(cell: tuple[Path, Path, dict[str, Any]]) -> None:
    path, receipt, identity = cell
    content = path.read_bytes()
    draw = random.Random(0)
    for length in [0, 1, len(content) - 1, *(draw.randrange(len(content)) for _ in range(40))]:
        path.write_bytes(content[:length])
        with pytest.raises(UserError, match=str(path)):
            logits.read_logits(receipt, identity)
        assert logits.stored_digest(path, identity) is None


def test_a_flipped_bit_is_found(cell: tuple[Path, Path, dict[str, Any]]) -> None:
    path, receipt, identity = cell
    content = path.read_bytes()
    whole = read_parquet(path, LOGITS)
    found = 0
    for bit in random.Random(0).sample(range(8 * len(content)), 2000):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        if logits.stored_digest(path, identity):  # in a part of the file that decides nothing
            assert logits.read_logits(receipt, identity).equals(whole)
        else:
            with pytest.raises(UserError, match=str(path)):
                logits.read_logits(receipt, identity)
            found += 1
    assert found > 0


def test_a_logit_file_of_other_questions_or_another_checkpoint_is_found(
    cell: tuple[Path, Path, dict[str, Any]],
) -> None:
    path, receipt, identity = cell
    for key, value in [
        ("questions_sha256", "0" * 64),
        ("revision", "0" * 40),
        ("dtype", "bfloat16"),
        ("scoring_version", -1),
    ]:
        other = {**identity, key: value}
        with pytest.raises(UserError, match=rf"{receipt}.*{key}"):
            logits.read_logits(receipt, other)
        assert logits.stored_digest(path, other) is None
        # With a receipt that agrees, as after a logit file was put there by hand.
        logits.write_receipt(receipt, other, values_digest(read_parquet(path, LOGITS)))
        with pytest.raises(UserError, match=rf"{path}.*{key}"):
            logits.read_logits(receipt, other)
        logits.write_receipt(receipt, identity, values_digest(read_parquet(path, LOGITS)))


@pytest.mark.parametrize("fault", ["damaged or cut short", "no such file"])
def test_a_lost_or_damaged_cell_stops_the_next_step_with_the_command_that_mends_it(
    fault: str, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    folder = copied(undisturbed[0], tmp_path / "study")
    content = (folder / CELL).read_bytes()
    (folder / CELL).unlink()
    if fault != "no such file":
        (folder / CELL).write_bytes(content[: len(content) // 2])
    for path in (folder / "results" / STUDY).iterdir():  # all that was made of the cells
        if path.is_file():
            path.unlink()
        elif path.name not in {"logits", "models", "questions"}:
            shutil.rmtree(path)
    run = Study(folder).run()
    assert run.returncode != 0
    assert f"error: {CELL}: {fault}" in run.stderr
    assert "Traceback" not in run.stderr
    (command,) = set(re.findall(r"`(rm .*?)`", run.stderr))
    subprocess.run(command, shell=True, cwd=folder, check=True)
    run = Study(folder).run()
    assert run.returncode == 0, run.stderr
    assert Study(folder).tables() == Study(undisturbed[0]).tables()


def test_a_checkpoint_changed_after_scoring_is_scored_again(
    undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    folder = copied(undisturbed[0], tmp_path / "study")
    checkpoint = copied(CHECKPOINT, tmp_path / "base")
    config = (folder / "study.yaml").read_text(encoding="utf-8")
    config = config.replace(str(CHECKPOINT), str(checkpoint))
    (folder / "study.yaml").write_text(config, encoding="utf-8")
    run = Study(folder).run()  # the spec is another one
    assert run.returncode == 0, run.stderr
    assert scoring_jobs(folder) == 0
    before = Study(folder).cells()
    weights = bytearray((checkpoint / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (checkpoint / "model.safetensors").write_bytes(weights)
    run = Study(folder).run()
    assert run.returncode == 0, run.stderr
    after = Study(folder).cells()
    changed = [name for name in after if after[name] != before[name]]
    assert changed == ["base/words/continuation.parquet"]
    revision = json.loads((folder / MODEL).read_text(encoding="utf-8"))["revision"]
    assert read_identity(folder / CELL)["revision"] == revision


def test_weights_that_are_not_numbers_are_found(prepared: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = copied(prepared, tmp_path / "study")
    checkpoint = copied(CHECKPOINT, tmp_path / "nan")
    weights = load_file(checkpoint / "model.safetensors")
    name = next(name for name in sorted(weights) if "mlp" in name)
    weights[name] = torch.full_like(weights[name], float("nan"))
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    model = json.loads((folder / MODEL).read_text(encoding="utf-8"))
    (folder / MODEL).write_text(json.dumps({**model, "path": str(checkpoint)}), encoding="utf-8")
    run = score(folder)
    assert run.returncode == 1
    (error,) = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert "question demo_words/" in error
    assert "Traceback" not in run.stderr
    assert Study(folder).cells() == {}
    assert Study(folder).leftovers() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 96 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)])
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_nothing(small_disk: Path) -> None:
    noise = pa.table({"noise": [random.Random(0).randbytes(60_000)]})
    more = pa.table({"noise": [random.Random(1).randbytes(60_000)]})
    path = small_disk / "noise.parquet"
    write_parquet(path, noise)
    for write in (
        lambda: write_parquet(path, more),
        lambda: write_parquet(small_disk / "other.parquet", more),
        lambda: files.write_text(small_disk / "other.txt", "x" * 60_000),
    ):
        with pytest.raises(UserError, match=r"cannot be written .*No space left"):
            write()
    assert [file.name for file in small_disk.iterdir()] == ["noise.parquet"]
    assert pq.read_table(path).equals(noise)


def test_a_read_only_folder_is_one_clear_error(small_disk: Path) -> None:
    files.write_text(small_disk / "kept.txt", "kept")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in (small_disk / "kept.txt", small_disk / "new" / "new.txt"):
        with pytest.raises(UserError, match=rf"{path}: cannot be written"):
            files.write_text(path, "other")
    assert (small_disk / "kept.txt").read_text() == "kept"


@pytest.fixture
def results_on_small_disk(prepared: Path, tmp_path: Path) -> Iterator[Path]:
    """The prepared study, with its results on a file system of their own."""
    folder = copied(prepared, tmp_path / "study")
    results = folder / "results"
    results.rename(folder / "aside")
    results.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(results)])
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["cp", "-rp", f"{folder}/aside/.", str(results)], check=True)
    yield folder
    subprocess.run(["umount", str(results)], check=True)


@pytest.mark.parametrize("kilobytes", [8, 24, 60])
def test_a_run_on_a_full_disk_goes_on_when_there_is_room(
    kilobytes: int, results_on_small_disk: Path, undisturbed: tuple[Path, float]
) -> None:
    """With so little room it is now a log, now a logit file, now a table that does not fit."""
    folder = results_on_small_disk
    free = shutil.disk_usage(folder / "results").free
    (folder / "results" / "ballast").write_bytes(bytes(free - 1024 * kilobytes))
    run = Study(folder).run()
    assert run.returncode != 0
    assert "No space left" in run.stderr
    assert "Traceback" not in run.stderr
    assert Study(folder).leftovers() == []
    finished = Study(folder).cells()
    (folder / "results" / "ballast").unlink()
    resumed = Study(folder).run()
    assert resumed.returncode == 0, resumed.stderr
    assert Study(folder).tables() == Study(undisturbed[0]).tables()
    after = Study(folder).cells()
    assert {cell: after[cell] for cell in finished} == finished, "a finished cell was scored again"


def test_a_run_in_a_read_only_folder_ends_at_once_and_changes_nothing(
    results_on_small_disk: Path, undisturbed: tuple[Path, float]
) -> None:
    folder = results_on_small_disk
    remount = ["mount", str(folder / "results"), "-o"]
    subprocess.run([*remount, "remount,ro"], check=True)
    run = Study(folder).run()
    assert run.returncode != 0
    assert "Read-only file system" in run.stdout + run.stderr
    subprocess.run([*remount, "remount,rw"], check=True)
    resumed = Study(folder).run()
    assert resumed.returncode == 0, resumed.stderr
    assert Study(folder).tables() == Study(undisturbed[0]).tables()


def test_a_run_short_of_memory_halves_its_batches_and_goes_on(
    prepared: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    """Memory is made to run out for more than 40 tokens at once, in every scoring job."""
    folder = copied(prepared, tmp_path / "study")
    scarce = tmp_path / "scarce"
    scarce.mkdir()
    (scarce / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'alignment_calibration.scoring' in sys.orig_argv:\n"
        "    import torch\n"
        "    embedding = torch.nn.functional.embedding\n"
        "    def scarce(ids, *others, **more):\n"
        "        if ids.numel() > 40:\n"
        "            raise torch.OutOfMemoryError('none left')\n"
        "        return embedding(ids, *others, **more)\n"
        "    torch.nn.functional.embedding = scarce\n"
    )
    variables = environment()
    variables["PYTHONPATH"] = f"{scarce}{os.pathsep}{variables['PYTHONPATH']}"
    run = Study(folder).run(env=variables)
    assert run.returncode == 0, run.stderr
    logs = [log.read_text() for log in (folder / "results").rglob("logs/score*/**/*.log")]
    assert any("out of memory: goes on with a token budget of 32" in log for log in logs), logs
    columns = ["question_id", "choice", "token_ids"]
    found, wanted = (pq.read_table(where / CELL) for where in (folder, undisturbed[0]))
    assert found.select(columns).equals(wanted.select(columns))
    differences = [
        abs(one - other)
        for ours, theirs in zip(
            found["token_logprobs"].to_pylist(), wanted["token_logprobs"].to_pylist(), strict=True
        )
        for one, other in zip(ours, theirs, strict=True)
    ]
    assert max(differences) < 1e-4


def test_a_second_run_in_the_same_folder_is_refused(
    prepared: Path, undisturbed: tuple[Path, float], tmp_path: Path
) -> None:
    folder = copied(prepared, tmp_path / "study")
    first = Study(folder).start()
    until(lambda: score_processes(folder) or first.poll() is not None, 120)
    second = Study(folder).run()
    assert second.returncode != 0
    assert "lock" in second.stderr.lower()
    assert first.wait(timeout=600) == 0
    assert Study(folder).tables() == Study(undisturbed[0]).tables()
    assert Study(folder).leftovers() == []
