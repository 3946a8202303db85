"""Which jobs run after an edit, read from Snakemake's own dry run."""

from pathlib import Path

import pytest

from tests.support.study import ROOT, Study, demo_config, read


def score_jobs(jobs: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """(model, task, prompt) of the planned score jobs."""
    return {
        tuple(part.split("=")[1] for part in wildcards.split(", "))
        for wildcards in jobs.get("score", [])
    }


def test_a_finished_study_has_nothing_to_do(study: Study) -> None:
    assert study.planned() == {}


def test_another_spec_runs_only_that_models_cells(study: Study) -> None:
    models = study.config["models"]
    models["aligned"]["dtype"] = "bfloat16"
    jobs = study.planned(models=models)
    tasks = list(study.config["tasks"])
    assert score_jobs(jobs) == {
        ("aligned", task, prompt) for task in tasks for prompt in ("continuation", "choice")
    }
    assert all("model=base" not in names for rule in jobs.values() for names in rule)
    assert "changes" in jobs


def test_other_bins_run_no_score_job(study: Study) -> None:
    jobs = study.planned(statistics={**study.config["statistics"], "bins": 15})
    assert "score" not in jobs
    assert "confidences" not in jobs
    assert len(jobs["metrics"]) == 2


def test_a_new_task_runs_only_its_own_cells(study: Study) -> None:
    tasks = study.config["tasks"]
    new = next(name for name in demo_config()["tasks"] if name not in tasks)
    tasks[new] = {**demo_config()["tasks"][new], "limit": 20}
    jobs = study.planned(tasks=tasks)
    assert score_jobs(jobs) == {
        (model, new, prompt)
        for model in ("base", "aligned")
        for prompt in ("continuation", "choice")
    }
    assert all(f"task={new}" in names for names in jobs["confidences"])


def test_another_letters_prompt_runs_only_choice_cells_of_its_task(study: Study) -> None:
    tasks = study.config["tasks"]
    edited = next(iter(tasks))
    tasks[edited]["letters"] = "line"
    jobs = study.planned(tasks=tasks)
    assert score_jobs(jobs) == {(model, edited, "choice") for model in ("base", "aligned")}


def test_another_method_scores_only_what_it_reads(study: Study) -> None:
    assert "score" not in study.planned(methods=["continuation_sum", "choice"])


def test_the_edited_template_of_a_user_runs_only_its_cells(study: Study) -> None:
    """A user's own template, then an edit of its text."""
    tasks = study.config["tasks"]
    edited = next(iter(tasks))
    tasks[edited]["letters"] = "mine"
    letters = {"mine": "{{ question }} ({{ options | length }} options)"}
    jobs = study.planned(tasks=tasks, letters=letters)
    assert {(task, prompt) for _, task, prompt in score_jobs(jobs)} == {(edited, "choice")}


@pytest.mark.parametrize("config", ["config.yaml", "config/paper.yaml", "config/smollm2.yaml"])
def test_a_fresh_clone_lists_a_score_job_per_model_task_and_prompt(
    config: str, tmp_path: Path
) -> None:
    text = read(ROOT / config)
    for spec in text["models"].values():
        if "path" in spec:
            spec["path"] = str(ROOT / spec["path"])
    fresh = Study(tmp_path, targets=())
    fresh.write(text)
    result = fresh.run("--dry-run")
    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    for model in text["models"]:
        for task in text["tasks"]:
            for prompt in ("continuation", "choice"):
                assert f"logits/{model}/{task}/{prompt}.parquet" in output
    if text["study"] != "demo":
        assert "demo" not in output.replace(str(ROOT), "")
