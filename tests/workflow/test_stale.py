"""Old numbers do not survive: where they once did, right ones come out, or an error."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import documents
from tests.support.study import (
    ALL_MESSAGES,
    CHECKPOINTS,
    STUDY,
    Study,
    copied_workflow,
    environment,
)

pytestmark = pytest.mark.slow

LONG_AGO = (1_000_000_000, 1_000_000_000)
TASK = "task: mine\nmetadata: {based_on: piqa, note: 1}\n"
EDITED_TASK = "task: mine\nmetadata: {based_on: piqa, note: 2}\n"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of models, documents and a task YAML of its own, one method, one task."""
    folder = tmp_path_factory.mktemp("stale") / "study"
    folder.mkdir()
    for stage, checkpoint in CHECKPOINTS.items():
        shutil.copytree(checkpoint, folder / stage)
    documents.write(folder / "piqa.jsonl", documents.PIQA)
    (folder / "tasks").mkdir()
    (folder / "tasks" / "mine.yaml").write_text(TASK)
    study = Study.reduced(
        folder,
        {"piqa": {"continuation": "mine", "data": {"format": "json", "file": "piqa.jsonl"}}},
        ["continuation_sum"],
        models={stage: {"path": stage} for stage in CHECKPOINTS},
        task_folders=["tasks"],
        metrics=["accuracy", "ece"],
        targets=[],
    )
    run = study.run()
    assert run.returncode == 0, run.stderr
    return study


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    """A copy of the finished study, dates and Snakemake's records too, with nothing to do.

    The files of the sources are new ones, which Snakemake is told to take for the old.
    """
    copy = finished.copied(tmp_path / "study")
    touched = copy.run("--touch")
    assert touched.returncode == 0, touched.stderr
    assert copy.planned() == {}
    return copy


def swap_folders(study: Study) -> None:
    base, aligned, aside = (study.folder / name for name in ("base", "aligned", "aside"))
    base.rename(aside)
    aligned.rename(base)
    aside.rename(aligned)


def older_weights(study: Study) -> None:
    replaced(study.folder / "base/model.safetensors", CHECKPOINTS["aligned"], older=True)


def weights_of_the_same_date(study: Study) -> None:
    replaced(study.folder / "base/model.safetensors", CHECKPOINTS["aligned"], older=False)


def replaced(file: Path, checkpoint: Path, older: bool) -> None:
    """Put another checkpoint's weights in the place of a file, with an old date or its date."""
    before = file.stat()
    other = file.with_name("other")
    shutil.copy(checkpoint / file.name, other)
    dates = LONG_AGO if older else (before.st_atime, before.st_mtime)
    os.utime(other, dates)
    other.replace(file)


def older_documents(study: Study) -> None:
    documents.write(study.folder / "other.jsonl", documents.PIQA[:2])
    os.utime(study.folder / "other.jsonl", LONG_AGO)
    (study.folder / "other.jsonl").replace(study.folder / "piqa.jsonl")


def task_of_the_same_size_and_date(study: Study) -> None:
    file = study.folder / "tasks" / "mine.yaml"
    before = file.stat()
    file.write_text(EDITED_TASK)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "planned"),
    [
        (swap_folders, {"models"}),
        (older_weights, {"models"}),
        (weights_of_the_same_date, {"models"}),
        (older_documents, {"questions"}),
        (task_of_the_same_size_and_date, {"questions"}),
    ],
)
def test_a_source_that_was_replaced_is_looked_at_whatever_its_date(
    change: Callable[[Study], None], planned: set[str], study: Study
) -> None:
    change(study)
    jobs = study.planned()
    assert planned | {"score_model", "changes", "tables", "figures"} <= jobs.keys()


def test_without_records_an_edited_config_runs_every_step_and_scores_nothing(study: Study) -> None:
    before = study.cells()
    shutil.rmtree(study.folder / ".snakemake")
    study.write({**study.config, "statistics": {"resamples": 20, "permutations": 20, "bins": 7}})
    jobs = study.planned()
    assert {"models", "questions", "metrics", "changes", "tables", "figures"} <= jobs.keys()
    run = study.run()
    assert run.returncode == 0, run.stderr
    assert study.cells() == before
    assert study.planned() == {}


def test_another_scoring_version_scores_every_cell_again(finished: Study, tmp_path: Path) -> None:
    root = copied_workflow(tmp_path / "repository")
    code = root / "workflow" / "alignment_calibration" / "files" / "logits.py"
    text = code.read_text()
    study = Study(finished.copied(tmp_path / "study").folder, [], root=root)
    assert study.run().returncode == 0
    before = study.cells()
    code.write_text(text.replace("SCORING_VERSION = 2", "SCORING_VERSION = 3"))
    assert len(study.planned()["score_model"]) == 2
    run = study.run(targets=["all_cells"])
    assert run.returncode == 0, run.stderr
    after = study.cells()
    assert after.keys() == before.keys()
    assert all(after[cell] != before[cell] for cell in before)


def edit(path: Path) -> None:
    """Change a number of a table as a script would, its metadata kept."""
    table = pq.read_table(path)
    numbers = [name for name in table.column_names if pa.types.is_floating(table[name].type)]
    name = next(name for name in numbers if table[name].null_count == 0)
    place = table.column_names.index(name)
    values = [value / 2 for value in table[name].to_pylist()]
    pq.write_table(table.set_column(place, name, pa.array(values, table[name].type)), path)


@pytest.mark.parametrize(
    "name",
    [
        "confidences/base/piqa.parquet",
        "metrics/base.parquet",
        "permutations/Demo.parquet",
        "changes.parquet",
        "decomposition.parquet",
    ],
)
def test_an_edited_table_whose_date_was_kept_is_an_error_that_names_it(
    name: str, study: Study
) -> None:
    file = study.results / name
    before = file.stat()
    if name.startswith("confidences"):  # its numbers are in lists
        table = pq.read_table(file)
        gold = pa.array([1 - value for value in table["gold"].to_pylist()], pa.int16())
        place = table.column_names.index("gold")
        pq.write_table(table.set_column(place, "gold", gold), file)
    else:
        edit(file)
    os.utime(file, (before.st_atime, before.st_mtime - 3600))  # as it may have been for long
    run = study.run("--dry-run")
    assert run.returncode != 0
    assert f"error: {file.relative_to(study.folder)}: damaged or cut short" in run.stderr
    assert "Traceback" not in run.stderr
    file.unlink()
    assert study.planned()  # what made it, and what follows


def test_an_overwritten_csv_is_an_error_that_names_it(study: Study) -> None:
    file = study.results / "changes.csv"
    file.write_text(file.read_text().replace("Demo", "Mine"))
    run = study.run("--dry-run")
    assert run.returncode != 0
    assert f"error: {file.relative_to(study.folder)}: not what the workflow wrote" in run.stderr
    file.unlink()
    assert "changes" in study.planned()


def test_another_config_that_snakemake_is_told_to_overlook_is_an_error_that_names_a_file(
    study: Study,
) -> None:
    before = study.cells()
    study.write({**study.config, "statistics": {"resamples": 20, "permutations": 20, "bins": 7}})
    told = "was made under another config than this"
    touched = study.run("--touch")
    assert touched.returncode != 0
    assert touched.stderr.count(told) == 1
    report = study.run("--report", "stale.zip")
    assert report.returncode != 0
    assert report.stderr.count(told) == 1
    assert not (study.folder / "stale.zip").exists()
    by_dates = ("--rerun-triggers", "mtime")
    assert "Nothing to be done" in study.run(*by_dates).stderr
    reading = study.run(*by_dates, "--forcerun", "tables")
    assert reading.returncode != 0
    assert told in reading.stderr
    verified = study.run(targets=["verify"])
    assert verified.returncode != 0
    for file in ("metrics/base", "permutations/Demo", "changes", "remedies"):
        assert f"results/{STUDY}/{file}.parquet: {told}" in verified.stderr
    assert study.run().returncode == 0
    assert study.run(targets=["verify"]).returncode == 0
    assert study.cells() == before


def test_what_is_missing_is_missed_by_verify_and_by_a_report(study: Study) -> None:
    commands: dict[str, tuple[list[str], list[str]]] = {
        "changes.csv": (["verify"], []),
        "tables/headline.csv": ([], ["--report", "half.zip"]),
    }
    for name, (targets, options) in commands.items():
        (study.results / name).unlink()
        run = study.run(*options, targets=targets)
        assert run.returncode != 0
        errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
        assert len(set(errors)) == 1
        assert f"results/{STUDY}/{name}: missing" in errors[0]


def test_verify_finds_what_no_date_tells(study: Study) -> None:
    whole = study.run(targets=["verify"])
    assert whole.returncode == 0, whole.stderr
    weights = study.folder / "base" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    run = study.run(targets=["verify"])
    assert run.returncode != 0
    assert "base/model.safetensors: not the file that" in run.stdout + run.stderr


#: Rules in the order of data, with the words by which their processes are known.
PROCESSES = {
    "models": "models.py",
    "questions": "questions.py",
    "score_model": "alignment_calibration.scoring",
    "confidences": "confidences.py",
    "metrics": "metrics.py",
    "permutations": "permutations.py",
    "changes": "changes.py",
    "explanations": "explanations.py",
    "pair_multiverse": "pair_multiverse.py",
    "multiverse": ".multiverse.py",
    "tables": "tables.py",
    "figures": "figures.py",
    "run_summary": "run_summary.py",
}


@pytest.fixture
def dying(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """An environment in which the processes of one rule die as they start."""
    folder = tmp_path / "dying"
    folder.mkdir()

    def kill(rule: str) -> dict[str, str]:
        (folder / "sitecustomize.py").write_text(
            "import os, sys\n"
            f"if any(argument.endswith({PROCESSES[rule]!r}) for argument in sys.orig_argv):\n"
            "    os._exit(9)\n"
        )
        variables = environment()
        variables["PYTHONPATH"] = f"{folder}{os.pathsep}{variables['PYTHONPATH']}"
        return variables

    return kill


@pytest.fixture(scope="module")
def edited(finished: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The study as it should be after the edits, made without a fault."""
    study = finished.copied(tmp_path_factory.mktemp("edited") / "study")
    apply_edits(study)
    run = study.run()
    assert run.returncode == 0, run.stderr
    return study


def apply_edits(study: Study) -> None:
    """Edits that change the params or the inputs of every rule: both checkpoints' sources, the
    documents, bins, permutations."""
    swap_folders(study)
    documents.write(study.folder / "piqa.jsonl", documents.PIQA[:3])
    study.write({**study.config, "statistics": {"resamples": 20, "permutations": 30, "bins": 7}})


@pytest.mark.parametrize("rule", PROCESSES)
def test_no_old_file_survives_a_step_that_fails_after_an_edit(
    rule: str,
    finished: Study,
    edited: Study,
    dying: Callable[[str], dict[str, str]],
    tmp_path: Path,
) -> None:
    study = finished.copied(tmp_path / "study")
    apply_edits(study)
    run = study.run(env=dying(rule))
    assert run.returncode != 0
    assert study.run("--dry-run").returncode == 0
    assert rule in study.planned()
    wanted = contents(edited)
    old = {name for name, content in contents(study).items() if content != wanted[name]}
    assert old == set()


def contents(study: Study) -> dict[str, bytes]:
    """Bytes of all results and figures that are not of a run's circumstances.

    Logit files are the scorer's, and count for nothing without their receipts.
    """
    files = [
        path
        for top in ("results", "figures")
        for path in sorted((study.folder / top).rglob("[!.]*"))
        if path.is_file()
        and not {"logs", "benchmarks"} & set(path.parts)
        and not path.name.endswith(".run.json")
        and not ("logits" in path.parts and path.suffix == ".parquet")
        and "run_summary" not in path.name
    ]
    return {str(path.relative_to(study.folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("target", ["tables", f"results/{STUDY}/changes.csv"])
def test_a_named_target_or_a_single_file_is_made_again_after_a_failure(
    target: str, finished: Study, dying: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    study = finished.copied(tmp_path / "study")
    study.write({**study.config, "statistics": {"resamples": 20, "permutations": 20, "bins": 7}})
    assert study.run(targets=[target], env=dying("metrics")).returncode != 0
    assert not (study.results / "changes.csv").exists()
    plan = study.run("--dry-run", ALL_MESSAGES, targets=[target])
    assert "rule metrics:" in plan.stdout + plan.stderr
