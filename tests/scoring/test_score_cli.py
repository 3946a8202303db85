"""The command `python -m alignment_calibration.scoring` on a tiny checkpoint."""

import dataclasses
import gc
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
import yaml

from alignment_calibration.contract.scoring import LOGITS, QUESTIONS
from alignment_calibration.errors import UserError
from alignment_calibration.files.logits import expected_identity, read_logits, write_logits
from alignment_calibration.files.parquet import read_parquet, write_parquet
from alignment_calibration.scoring import command as score_module
from alignment_calibration.scoring import compiled, lease
from alignment_calibration.scoring.backends import AUTO, BACKENDS, choose, identity_settings
from alignment_calibration.scoring.process import Progress, peak_memory
from alignment_calibration.scoring.scorer import UnsupportedModelError
from alignment_calibration.scoring.tree import TreeScorer

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "workflow"
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a demo model, its model file and two questions files."""
    shutil.copytree(CHECKPOINT, tmp_path / "checkpoint")
    model = {"model": "m", "spec": {"path": "checkpoint"}, "revision": "r", "files": []}
    (tmp_path / "m.json").write_text(json.dumps({**model, "path": str(tmp_path / "checkpoint")}))
    for name, number in (("few", 3), ("many", 40)):
        rows = [
            {
                "question_id": f"t/{question:03d}",
                "choice": choice,
                "context": f"The number {question} is",
                "continuation": [" even", " odd", " a prime number"][choice],
                "source_choice": choice,
                "gold": question % 2,
                "group": "t",
            }
            for question in range(number)
            for choice in range(3)
        ]
        write_questions(tmp_path / f"{name}.parquet", rows)
    return tmp_path


def write_questions(path: Path, rows: list[dict[str, Any]]) -> None:
    write_parquet(path, pa.Table.from_pylist(rows, schema=QUESTIONS))


def command(folder: Path, *cells: str, **options: str) -> list[str]:
    arguments = [sys.executable, "-m", "alignment_calibration.scoring", "--model", "m.json"]
    options = {"dtype": "float32", "device": "cpu", "threads": "1"} | options
    for name, value in options.items():
        arguments += [f"--{name.replace('_', '-')}", value]
    return [
        *arguments,
        *("--questions", *(f"{cell}.parquet" for cell in cells)),
        *("--receipts", *(f"logits/m/{cell}/choice.receipt.json" for cell in cells)),
    ]


def score(folder: Path, *cells: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *cells, **options), cwd=folder, capture_output=True, text=True
    )


@pytest.fixture
def score_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """The command in this process, which has torch in memory already."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as the command sets it; put back afterwards
    monkeypatch.setattr(score_module, "die_with", lambda parent: None)

    def run(*cells: str, **options: str) -> None:
        monkeypatch.setattr(sys, "argv", command(folder, *cells, **options)[2:])
        score_module.main()

    return run


def logits(folder: Path, cell: str) -> Path:
    return folder / "logits" / "m" / cell / "choice.parquet"


def receipt(folder: Path, cell: str) -> Path:
    return logits(folder, cell).with_suffix(".receipt.json")


def identity_of(folder: Path, cell: str) -> dict[str, Any]:
    return expected_identity(folder / "m.json", folder / f"{cell}.parquet", {"dtype": "float32"})


def test_a_cell_honours_the_contract_and_is_scored_once(folder, score_here, capsys):
    assert score(folder, "few").returncode == 0
    table = read_parquet(logits(folder, "few"), LOGITS)
    assert read_logits(receipt(folder, "few"), identity_of(folder, "few")).equals(table)
    questions = read_parquet(folder / "few.parquet", QUESTIONS)
    for column in ("question_id", "choice", "gold", "group"):
        assert table[column].equals(questions[column])
    assert table["continuation_bytes"].to_pylist()[:3] == [4, 3, 14]

    # The numbers are the model's own.
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    model = transformers.AutoModelForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32)
    for row in table.to_pylist():
        number = int(row["question_id"][2:])
        text = f"The number {number} is" + [" even", " odd", " a prime number"][row["choice"]]
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        assert ids[0, row["context_tokens"] :].tolist() == row["token_ids"]
        with torch.inference_mode():
            logprobs = model(ids).logits[0].log_softmax(dim=-1)
        places = range(row["context_tokens"] - 1, ids.shape[1] - 1)
        wanted = [float(logprobs[place, ids[0, place + 1]]) for place in places]
        np.testing.assert_allclose(row["token_logprobs"], wanted, atol=1e-4)

    record = json.loads(logits(folder, "few").with_suffix(".run.json").read_text())
    assert record["questions"] == 3
    assert record["tokens_computed"] >= record["trie_nodes"] > 0
    assert (record["scorer"], record["compiled"], record["device"]) == ("tree", False, "cpu")

    # Without its receipt it is left alone; and from nothing, in another process, all bytes are the
    # same.
    before, receipt_before = (f(folder, "few").read_bytes() for f in (logits, receipt))
    stands = logits(folder, "few").stat().st_ino
    receipt(folder, "few").unlink()
    score_here("few")
    assert "m/few/choice: scored before" in capsys.readouterr().err
    assert logits(folder, "few").stat().st_ino == stands
    assert receipt(folder, "few").read_bytes() == receipt_before
    logits(folder, "few").unlink()
    score_here("few")
    assert logits(folder, "few").read_bytes() == before
    assert receipt(folder, "few").read_bytes() == receipt_before


def test_the_record_says_whether_layers_are_compiled(folder, score_here, monkeypatch):
    """With layers' own forwards in place of compiled ones."""

    def as_if(scorer, tables):
        assert [len(table) for table in tables] == [9]
        forwards = {layer: layer.forward for layer in compiled.layers_of(scorer.model)}
        return compiled.CompiledTreeScorer(scorer.model, scorer.device, 100, forwards)

    monkeypatch.setattr(compiled, "compiled_where_it_pays", as_if)
    score_here("few")
    record = json.loads(logits(folder, "few").with_suffix(".run.json").read_text())
    assert (record["scorer"], record["compiled"]) == ("tree", True)


def test_backends_give_the_same_numbers_and_one_identity(folder, score_here, capsys):
    score_here("few")
    tree = read_logits(receipt(folder, "few"), identity_of(folder, "few"))
    score_here("few", backend="plain")  # no reason to score again
    assert "m/few/choice: scored before" in capsys.readouterr().err
    logits(folder, "few").unlink()
    score_here("few", backend="plain")
    record = json.loads(logits(folder, "few").with_suffix(".run.json").read_text())
    assert record["scorer"] == "plain"
    plain = read_logits(receipt(folder, "few"), identity_of(folder, "few"))
    for one, other in zip(*(t["token_logprobs"].to_pylist() for t in (tree, plain)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_backend_with_numbers_of_its_own_is_part_of_the_identity(monkeypatch):
    own = dataclasses.replace(BACKENDS["plain"], own_numbers=True)
    monkeypatch.setitem(BACKENDS, "other", own)
    assert identity_settings("float32", "other") == {"dtype": "float32", "backend": "other"}
    for backend in (AUTO, "tree", "plain"):
        assert identity_settings("float32", backend) == {"dtype": "float32"}


def test_the_config_allows_every_backend():
    schema = yaml.safe_load((WORKFLOW / "schemas" / "config.schema.yaml").read_text())
    backend = schema["properties"]["scoring"]["properties"]["backend"]
    assert backend["enum"] == [AUTO, *BACKENDS]


def imported(folder: Path, *cells: str) -> set[str]:
    """Top-level modules in memory after the command."""
    arguments = command(folder, *cells)[3:]
    program = (
        f"import sys; sys.argv[1:] = {arguments!r}\n"
        "from alignment_calibration.scoring.__main__ import main\n"
        "main(); print('modules', *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(done.stdout.rpartition("modules ")[2].split())


def test_what_a_scoring_process_imports(folder):
    modules = imported(folder, "few")
    assert "torch" in modules
    absent = {"lm_eval", "datasets", "pandas", "matplotlib", "seaborn", "snakemake"}
    assert not modules & absent
    # A cell that is there costs neither torch nor transformers.
    assert not imported(folder, "few") & {"torch", "transformers"}


def test_progress_tells_the_speed_and_the_time_left(monkeypatch, capsys):
    """Half of 10 questions in 5 seconds, 20 more in later cells: 25 to come at 1 a second."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    with Progress("m/t/choice", 30, 10, 20, io.StringIO()) as progress:
        progress.advance(0)
        now[0] = 5.0
        progress.advance(15)
        now[0] = 5.5
        progress.advance(5)  # too soon for another line
    assert capsys.readouterr().err.splitlines() == [
        "m/t/choice: 10 questions",
        "m/t/choice: 50 %, 1 questions/s, 0:00:25 left for this job",
    ]


def test_the_peak_of_every_device_is_noted(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda index: (index + 1) * 10**9)
    peaks = peak_memory(torch.device("cuda"))
    assert 10**8 < peaks.pop("process") < 10**11  # torch alone takes more than the one
    assert peaks == {"cuda:0": 10**9, "cuda:1": 2 * 10**9}
    assert peak_memory(torch.device("cpu")).keys() == {"process"}


def test_one_process_fills_the_stale_cells_and_leaves_the_others(folder, score_here):
    score_here("few")
    before = logits(folder, "few").stat().st_ino
    done = score(folder, "few", "many", log="log/score.log")
    assert done.returncode == 0
    log = (folder / "log" / "score.log").read_text()
    assert "m/few/choice: scored before" in log
    assert log.index("m/many/choice: loading ") < log.index("m/many/choice: 40 questions\n")
    assert re.search(r"^m/many/choice: 100 %, .+ questions/s, 0:00:00 left", log, re.M)
    assert "tokens/s" in log
    assert done.stderr == ""
    assert logits(folder, "few").stat().st_ino == before
    assert read_logits(receipt(folder, "many"), identity_of(folder, "many")).num_rows == 120


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GPUs that can be leased and that torch cannot use."""
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_GPUS", "gpu-a,gpu-b")
    monkeypatch.setenv("ALIGNMENT_CALIBRATION_LEASES", str(tmp_path / "leases"))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    for backend in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(backend, "is_available", lambda: False)


def test_gpus_are_not_held_for_a_cpu(folder, score_here, two_gpus, capsys):
    with pytest.raises(UserError, match=r"^gpu-a: .* `scoring: {device: cpu}`") as caught:
        score_here("few", device="auto")
    assert len(str(caught.value).splitlines()) == 1
    assert not logits(folder, "few").exists()
    score_here("few", device="cpu")  # leases nothing
    assert re.search(r"^m/few/choice: loading .* on cpu$", capsys.readouterr().err, re.M)
    assert logits(folder, "few").exists()


def test_a_gpu_stays_leased_until_the_process_is_gone(folder, score_here, two_gpus, monkeypatch):
    """What it has on the GPU goes after all its code has come to an end."""
    monkeypatch.setattr(score_module, "_device", lambda name, leased: torch.device("cpu"))
    score_here("few", device="auto")
    gc.collect()
    assert [(row["what"], row["state"]) for row in lease.status()] == [("gpu-a", "held")]


def test_the_start_of_a_job_counts_for_its_first_cell_alone(folder, score_here):
    """So that seconds and start-up seconds of all cells add up to the hours of a study."""

    def startup(cell: str) -> float:
        record = json.loads(logits(folder, cell).with_suffix(".run.json").read_text())
        return float(record["startup_seconds"])

    score_here("few", "many")
    assert startup("few") > 0
    assert startup("many") == 0
    for path in (logits(folder, "many"), receipt(folder, "many")):
        path.unlink()
    score_here("few", "many")  # the second is the first that this job scores
    assert startup("many") > 0


def test_jobs_that_share_cells_score_each_once_and_their_receipts_come_after_them(
    folder, score_here, capsys
):
    score_here("few", "many")
    files = [of(folder, cell) for of in (logits, receipt) for cell in ("few", "many")]
    wanted = [file.read_bytes() for file in files]
    shutil.rmtree(folder / "logits")

    score_here("few", "many", part="2/2")
    assert not logits(folder, "many").exists()
    assert not list((folder / "logits").rglob("*.receipt.json"))
    stands = logits(folder, "few").stat().st_ino
    with pytest.raises(UserError, match=r"m/many/choice: .* is gone .*`rm 1-of-2.scored`"):
        score_here("few", "many", scored="1-of-2.scored")
    score_here("few", "many", part="1/2")
    assert logits(folder, "few").stat().st_ino == stands
    capsys.readouterr()
    score_here("few", "many", part="2/2")
    told = ["part 2 of 2: 1 of 2 cells", "m/few/choice: scored before"]
    assert capsys.readouterr().err.splitlines() == told
    score_here("few", "many", scored="1-of-2.scored")
    assert [file.read_bytes() for file in files] == wanted


@pytest.mark.parametrize(
    "damage", ["gone", "cut short", "other questions", "other revision", "other values"]
)
def test_a_file_that_is_not_the_receipts_is_refused_and_scored_again(folder, damage, score_here):
    score_here("few")
    wanted = logits(folder, "few").read_bytes()
    path = logits(folder, "few")
    identity = identity_of(folder, "few")
    table = pq.read_table(path)
    match damage:
        case "gone":
            path.unlink()
        case "cut short":
            path.write_bytes(wanted[: len(wanted) // 2])
        case "other questions":
            write_logits(path, table, identity | {"questions_sha256": "0"})
        case "other revision":
            write_logits(path, table, identity | {"revision": "other"})
        case "other values":  # a whole file of this identity, but not what was scored
            halves = pa.chunked_array([pa.array([[-0.5]] * 9, pa.list_(pa.float32()))])
            place = table.column_names.index("token_logprobs")
            write_logits(path, table.set_column(place, "token_logprobs", halves), identity)
    name = receipt(folder, "few")
    with pytest.raises(UserError) as caught:
        read_logits(name, identity)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"`rm {name}`" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    name.unlink()  # as the error asks
    score_here("few")
    if damage != "other values":  # which the scorer cannot know from what it scored itself
        assert path.read_bytes() == wanted
    read_logits(name, identity)


def test_a_stale_file_does_not_outlive_a_failed_job(folder, score_here):
    score_here("few")
    (folder / "checkpoint" / "model.safetensors").unlink()
    with pytest.raises(UserError):
        score_here("few", dtype="bfloat16")
    assert not list((folder / "logits").rglob("*.*"))


def test_cut_contexts_are_counted_in_the_log(folder, score_here, capsys):
    rows = pq.read_table(folder / "few.parquet").to_pylist()
    tokenizer = transformers.AutoTokenizer.from_pretrained(CHECKPOINT)
    config = transformers.AutoConfig.from_pretrained(CHECKPOINT)
    limit = config.max_position_embeddings
    for row in rows[:3]:
        row["context"] = "even " * limit + row["context"]
    write_questions(folder / "few.parquet", rows)
    score_here("few")
    warned = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert warned == [
        f"m/few/choice: warning: 1 of 3 questions lose the left of their context, since the model "
        f"reads at most {limit} tokens (first t/000); give fewer worked examples (`num_fewshot`) "
        "or leave this model or task out"
    ]
    table = read_parquet(logits(folder, "few"), LOGITS)
    assert table["truncated"].to_pylist() == [True] * 3 + [False] * 6
    for row in table.to_pylist()[:3]:
        assert row["context_tokens"] + len(row["token_ids"]) == limit + 1  # the last is predicted
        assert len(tokenizer(rows[0]["context"])["input_ids"]) > row["context_tokens"]


def mistakes(folder: Path, mistake: str) -> None:
    rows = pq.read_table(folder / "few.parquet").to_pylist()
    match mistake:
        case "empty option":
            rows[4]["continuation"] = ""
        case "no rows":
            rows = []
        case "endless option":
            rows[4]["continuation"] = " even" * 5000
    write_questions(folder / "few.parquet", rows)
    checkpoint = folder / "checkpoint"
    match mistake:
        case "no checkpoint":
            shutil.rmtree(checkpoint)
        case "no tokenizer":
            for file in checkpoint.glob("tokenizer*"):
                file.unlink()
        case "no weights":
            (checkpoint / "model.safetensors").unlink()
        case "pickled weights":
            weights = checkpoint / "model.safetensors"
            torch.save({}, checkpoint / "pytorch_model.bin")
            weights.unlink()
        case "cut weights":
            weights = checkpoint / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:100_000])
        case "not a number":
            from safetensors.torch import load_file, save_file

            weights = load_file(checkpoint / "model.safetensors")
            for tensor in weights.values():
                tensor.fill_(float("nan"))
            save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ("empty option", "t/001"),
        ("no rows", "few.parquet"),
        ("endless option", "t/001"),
        ("no checkpoint", "checkpoint"),
        ("no tokenizer", "tokenizer"),
        ("no weights", "checkpoint"),
        ("pickled weights", "checkpoint"),
        ("cut weights", "checkpoint"),
        ("not a number", "t/000"),
    ],
)
def test_a_mistake_is_named(folder, mistake, named, score_here):
    mistakes(folder, mistake)
    with pytest.raises(UserError, match=named) as caught:
        score_here("few")
    assert len(str(caught.value).splitlines()) <= 3
    assert not list(folder.glob("logits/**/*.*"))


def test_an_error_is_one_line_on_the_terminal_and_in_the_log(folder):
    mistakes(folder, "empty option")
    done = score(folder, "few", log="score.log")
    assert done.returncode == 1
    assert done.stderr.startswith("error: few.parquet: question t/001: option '' adds no token")
    assert done.stderr.count("\n") == 1
    assert (folder / "score.log").read_text().splitlines()[-1] == done.stderr.strip()


def failing(error: BaseException) -> Callable[..., Any]:
    """A forward pass that fails."""

    def forward(*args: Any, **kwargs: Any) -> None:
        raise error

    return forward


@pytest.mark.parametrize(
    "error",
    [
        IndexError("index out of range in self"),
        RuntimeError("CUDA error: device-side assert triggered\n" + "More about it.\n" * 50),
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        KeyboardInterrupt(),
        ValueError("a mask of the wrong shape"),
        TypeError("forward() got an unexpected keyword"),
        AttributeError("no cache_position"),
        AssertionError(),
        UnsupportedModelError("it has layers that see later tokens"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_fault_of_the_forward_pass_is_a_line_that_names_the_cell(
    folder, score_here, monkeypatch, error
):
    score_here("few")
    monkeypatch.setattr(transformers.LlamaForCausalLM, "forward", failing(error))
    monkeypatch.setattr(transformers.LlamaModel, "forward", failing(error))
    with pytest.raises(UserError, match=r"^m/many/choice: ") as caught:
        score_here("few", "many", backend="plain")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 400
    assert logits(folder, "few").exists()
    assert not list((folder / "logits" / "m" / "many").glob("*"))


@pytest.mark.parametrize("error", [IndexError("x"), RuntimeError("x"), KeyError("x")])
def test_an_architecture_that_fails_its_trial_is_scored_plainly(folder, monkeypatch, error):
    model = transformers.AutoModelForCausalLM.from_pretrained(CHECKPOINT)
    monkeypatch.setattr(TreeScorer, "score", failing(error))
    name, _ = choose(model, torch.device("cpu"), 64)
    assert name == "plain"
    with pytest.raises(UserError, match="tree, which cannot score LlamaForCausalLM"):
        choose(model, torch.device("cpu"), 64, "tree")


def test_a_token_beyond_the_embeddings_names_its_question(folder, score_here):
    """A template that adds a token is no entry of the vocabulary, whose size is checked."""
    path = folder / "checkpoint" / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    first = {"SpecialToken": {"id": "[X]", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [first, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"[X]": {"id": "[X]", "ids": [99_999], "tokens": ["[X]"]}},
    }
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(UserError, match=r"^m/few/choice: question t/000: .* token 99999 "):
        score_here("few")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of address space")
@pytest.mark.parametrize("mebibytes", [200, 300, 600, 1500])
def test_too_little_memory_is_a_line_and_costs_no_logits(folder, score_here, mebibytes):
    score_here("few")
    before = logits(folder, "few").read_bytes()
    receipt(folder, "few").unlink()
    done = subprocess.run(
        [
            "bash",
            "-c",
            f'ulimit -v {mebibytes * 1024}; exec "$@"',
            "-",
            *command(folder, "few", "many"),
        ],
        cwd=folder,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"`ulimit -v` allows {mebibytes} MiB" in done.stderr
    assert "Traceback" not in done.stderr
    ours = ("m/few/choice", "m/many/choice", "<")
    assert sum(not line.startswith(ours) for line in done.stderr.splitlines()) == 1
    assert logits(folder, "few").read_bytes() == before


def test_ctrl_c_is_a_line_that_names_the_cell(folder):
    process = subprocess.Popen(
        command(folder, "few", "many", token_budget="8"),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("m/many/choice"):
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate()
    assert process.returncode == 1
    errors = [line for line in rest.splitlines() if not line.startswith("m/many/choice")]
    assert errors == [
        "error: m/many/choice: interrupted; cells that were finished stay, the others are scored "
        "next time"
    ]
    assert logits(folder, "few").exists()
    assert not list((folder / "logits" / "m" / "many").glob("*"))


def test_nothing_but_the_outputs_is_written(folder):
    """Home and temporary folder cannot be written, as in some containers."""
    nowhere = dict.fromkeys(["HOME", "TMPDIR", "TMP", "TEMP", "XDG_CACHE_HOME"], "/proc/nowhere")
    done = subprocess.run(
        command(folder, "few"),
        cwd=folder,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.count("error")) == (0, 0)
    assert read_logits(receipt(folder, "few"), identity_of(folder, "few")).num_rows == 9


def test_a_killed_job_leaves_finished_cells_and_nothing_half_written(folder, score_here, capsys):
    process = subprocess.Popen(
        command(folder, "few", "many", token_budget="8"),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("m/many/choice"):
            break
    process.kill()
    process.communicate()
    identity = identity_of(folder, "few")
    before = read_logits(receipt(folder, "few"), identity)
    assert not logits(folder, "many").exists()
    score_here("few", "many")
    assert "m/few/choice: scored before" in capsys.readouterr().err
    assert read_logits(receipt(folder, "few"), identity).equals(before)
    assert logits(folder, "many").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal")
def test_a_job_dies_with_its_parent(folder):
    arguments = command(folder, "few", "many", token_budget="8")
    program = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({arguments!r}, stderr=subprocess.PIPE, text=True)\n"
        "child.stderr.readline(); print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.stdout.close()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(1000):
        state = Path(f"/proc/{child}/stat")
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                break
        except FileNotFoundError:
            break
        time.sleep(0.05)
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("the job outlived its parent")
    assert not logits(folder, "many").exists()


def test_a_job_ends_whose_parent_ended_before_it_could_ask(folder):
    """As the workflow starts it; the parent ends while the job still imports."""
    job = shlex.join(command(folder, "few", parent="PID")).replace("PID", "$PPID")
    parent = f"bash -c {shlex.quote(f'sleep 1; exec {job}')} & sleep 0.5"
    run = subprocess.run(["bash", "-c", parent], cwd=folder, capture_output=True, text=True)
    assert run.stderr.startswith("error: the run that started this job has ended")
    assert not (folder / "logits").exists()
