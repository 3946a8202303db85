"""Which jobs run after an edit, read from Snakemake's own dry run."""

import re
import shutil
from pathlib import Path

import pytest

from alignment_calibration.study.vocabulary import prompts_of
from tests.support.study import (
    ALL_MESSAGES,
    ROOT,
    Config,
    Study,
    copied_workflow,
    demo_config,
    read,
)


@pytest.fixture(scope="module")
def by_cell(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The same study, switched to a job per cell: its plans tell which cells an edit concerns."""
    switched = study.copied(tmp_path_factory.mktemp("by_cell") / "study")
    switched.write({**switched.config, "scoring": {"load_once": False}})
    before = switched.cells()
    result = switched.run(ALL_MESSAGES)
    assert result.returncode == 0, result.stderr
    assert "rule score:" in result.stdout + result.stderr
    assert switched.cells() == before, "the switch scored a cell"
    return switched


def score_jobs(jobs: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """(model, task, prompt) of the planned score jobs."""
    return {
        tuple(part.split("=")[1] for part in wildcards.split(", "))
        for wildcards in jobs.get("score", [])
    }


def with_another_task(study: Study) -> tuple[Config, str]:
    """The tasks of a study and one more of the demo's, and its name."""
    tasks = study.config["tasks"]
    new = next(name for name in demo_config()["tasks"] if name not in tasks)
    return {**tasks, new: {**demo_config()["tasks"][new], "limit": 20}}, new


def test_a_finished_study_has_nothing_to_do(study: Study, by_cell: Study) -> None:
    assert study.planned() == {}
    assert by_cell.planned() == {}


def test_another_spec_runs_only_that_models_cells(study: Study, by_cell: Study) -> None:
    models = study.config["models"]
    models["aligned"]["dtype"] = "bfloat16"
    tasks = list(study.config["tasks"])
    at_once, each = (finished.planned(models=models) for finished in (study, by_cell))
    assert at_once["score_model"] == ["model=aligned"]
    assert score_jobs(each) == {
        ("aligned", task, prompt) for task in tasks for prompt in ("continuation", "choice")
    }
    for jobs in (at_once, each):
        assert all("model=base" not in names for rule in jobs.values() for names in rule)
        assert "changes" in jobs


def test_a_chat_template_is_a_model_of_its_own(study: Study) -> None:
    aligned = study.config["models"]["aligned"]
    jobs = study.planned(
        models=study.config["models"] | {"chat": aligned | {"chat_template": True}},
        pairs=study.config["pairs"] | {"Chat": {"base": "aligned", "aligned": "chat"}},
    )
    assert jobs["score_model"] == jobs["models"] == jobs["confidences"] == ["model=chat"]
    assert jobs["chats"] == sorted(
        f"task={task}, prompt={prompt}, chat=chat"
        for task in study.config["tasks"]
        for prompt in ("continuation", "choice")
    )
    assert "questions" not in jobs


def test_other_bins_run_no_score_job(study: Study, by_cell: Study) -> None:
    for finished in (study, by_cell):
        jobs = finished.planned(statistics={**study.config["statistics"], "bins": 15})
        assert not {"score", "score_model", "confidences"} & set(jobs)
        assert len(jobs["metrics"]) == 2


def test_other_metrics_run_neither_confidences_nor_the_multiverse(study: Study) -> None:
    jobs = study.planned(metrics=["accuracy", "ece", "mce"])
    assert len(jobs["metrics"]) == 2
    assert not {"confidences", "pair_multiverse", "multiverse"} & set(jobs)


@pytest.mark.slow
def test_a_study_without_calibration_errors_has_its_figures(study: Study, tmp_path: Path) -> None:
    other = study.copied(tmp_path / "study")
    other.write({**other.config, "methods": ["continuation_sum"], "metrics": ["accuracy", "brier"]})
    result = other.run(targets=["figures"])
    assert result.returncode == 0, result.stderr
    drawn = {path.stem for path in (other.folder / "figures").rglob("*.png")}
    assert {"headline", "map_parts", "multiverse"} <= drawn
    assert not {"figure1", "figure2_sce", "ranks"} & drawn


def test_a_new_task_runs_only_its_own_cells(by_cell: Study) -> None:
    tasks, new = with_another_task(by_cell)
    jobs = by_cell.planned(tasks=tasks)
    assert score_jobs(jobs) == {
        (model, new, prompt)
        for model in ("base", "aligned")
        for prompt in ("continuation", "choice")
    }


def test_a_job_per_model_scores_only_the_cells_of_a_new_task(study: Study, tmp_path: Path) -> None:
    grown = study.copied(tmp_path / "study")
    tasks, new = with_another_task(grown)
    grown.write({**grown.config, "tasks": tasks})
    before = grown.cells()
    result = grown.run(targets=["all_cells"])
    assert result.returncode == 0, result.stderr
    after = grown.cells()
    assert {cell: after[cell] for cell in before} == before, "a finished cell was scored again"
    assert {cell.split("/")[1] for cell in after.keys() - before.keys()} == {new}
    assert len(after) == len(before) + 4


def test_parts_share_the_cells_of_a_model_and_score_none_that_is_there(
    study: Study, tmp_path: Path
) -> None:
    """Switched to two jobs a model, with all cells of one model lost."""
    shared = study.copied(tmp_path / "study")
    whole, before = shared.tables(), shared.cells()
    shared.write({**shared.config, "scoring": {"parts": 2}})
    shutil.rmtree(shared.results / "logits" / "base")
    result = shared.run(targets=["all_cells"])
    assert result.returncode == 0, result.stderr
    assert shared.tables() == whole, "not what one job gave"
    after = shared.cells()
    kept = {cell for cell in before if cell.startswith("aligned/")}
    assert {cell: after[cell] for cell in kept} == {cell: before[cell] for cell in kept}
    logs = [log.read_text() for log in (shared.results / "logs/score_part/base").iterdir()]
    one, other = (re.findall(r"^(base/\S+): \d+ questions in ", log, re.M) for log in logs)
    assert one, "a part had nothing to do"
    assert other, "a part had nothing to do"
    assert sorted(f"{cell}.parquet" for cell in one + other) == sorted(after.keys() - kept)
    assert not {"score_part", "give_receipts"} & set(shared.planned())


def test_another_letters_prompt_runs_only_choice_cells_of_its_task(by_cell: Study) -> None:
    tasks = by_cell.config["tasks"]
    edited = next(iter(tasks))
    tasks[edited]["letters"] = "line"
    jobs = by_cell.planned(tasks=tasks)
    assert score_jobs(jobs) == {(model, edited, "choice") for model in ("base", "aligned")}


def test_another_method_scores_only_what_it_reads(study: Study, by_cell: Study) -> None:
    for finished in (study, by_cell):
        jobs = finished.planned(methods=["continuation_sum", "choice"])
        assert not {"score", "score_model"} & set(jobs)


def test_the_edited_template_of_a_user_runs_only_its_cells(by_cell: Study) -> None:
    """A user's own template, then an edit of its text."""
    tasks = by_cell.config["tasks"]
    edited = next(iter(tasks))
    tasks[edited]["letters"] = "mine"
    letters = {"mine": "{{ question }} ({{ options | length }} options)"}
    jobs = by_cell.planned(tasks=tasks, letters=letters)
    assert {(task, prompt) for _, task, prompt in score_jobs(jobs)} == {(edited, "choice")}


def test_an_edit_of_scoring_code_scores_only_under_another_version(
    study: Study, tmp_path: Path
) -> None:
    """In a copy of the repository: a comment first, then a raised SCORING_VERSION."""
    repository = copied_workflow(tmp_path / "repository")
    edited = Study(study.copied(tmp_path / "study").folder, ["all_cells"], root=repository)
    package = repository / "workflow" / "alignment_calibration"

    def scores() -> bool:
        """Run the workflow; whether it started a scoring job."""
        result = edited.run(ALL_MESSAGES)
        assert result.returncode == 0, result.stderr
        return "rule score_model:" in result.stdout + result.stderr

    before = edited.cells()
    scores()  # the same code, at another place
    assert not scores()
    with (package / "scoring" / "trie.py").open("a") as file:
        file.write("# A comment.\n")
    assert scores()
    assert not scores()
    assert edited.cells() == before
    logits = package / "files" / "logits.py"
    line = re.compile(r"^SCORING_VERSION = (\d+)$", re.MULTILINE)
    raised, found = line.subn(r"SCORING_VERSION = 9\1", logits.read_text())
    assert found == 1
    logits.write_text(raised)
    assert scores()
    after = edited.cells()
    assert after.keys() == before.keys()
    assert all(after[cell] != before[cell] for cell in before)


#: The studies of `config/`, and those that are given after another.
READY_STUDIES = sorted(file.name for file in (ROOT / "config").glob("*.yaml"))
STANDS_ON = {"strict.yaml": "config/paper.yaml"}


@pytest.mark.parametrize(
    "configs",
    ["config.yaml", *(f"{STANDS_ON.get(name, '')} config/{name}" for name in READY_STUDIES)],
)
def test_a_fresh_clone_lists_a_score_job_per_model_task_and_prompt(
    configs: str, tmp_path: Path
) -> None:
    text: Config = {}
    for config in configs.split():
        text |= read(ROOT / config)
    for spec in text["models"].values():
        if "path" in spec:
            spec["path"] = str(ROOT / spec["path"])
    fresh = Study(tmp_path, targets=())
    fresh.write(text)
    result = fresh.run("--dry-run", ALL_MESSAGES)
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    for model in text["models"]:
        for task in text["tasks"]:
            for prompt in prompts_of(text.get("methods", ["continuation_sum", "choice"])):
                assert f"logits/{model}/{task}/{prompt}.receipt.json" in output
    if text["study"] != "demo":
        assert "demo" not in output.replace(str(ROOT), "")
