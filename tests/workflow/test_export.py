"""A study as a data set: what is in it, who reads it, and that it gives the same tables again."""

import json
import shutil
from pathlib import Path

import mlcroissant
import pandas as pd
import pytest
import yaml

from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import read_json, sha256
from alignment_calibration.inputs.scored import take
from alignment_calibration.report.data_set.step import absolute_paths
from alignment_calibration.study import config
from tests.support.made_samples import log_samples
from tests.support.study import CHECKPOINTS, ROOT, STUDY, TABLES, Study

SAMPLES = "runs/aligned"
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture(scope="module")
def exported(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A copy of the finished study with its export: a ladder of a model that the study scores, one
    that lm-eval is made to have scored, and one that is asked by its chat template."""
    copy = study.copied(tmp_path_factory.mktemp("exported") / "study")
    task = copy.config["tasks"]["demo_physical"]
    for cell in copy.results.glob("logits/aligned/demo_physical/*.parquet"):
        asked = copy.results / "questions" / "demo_physical" / cell.name
        log_samples(copy.folder / SAMPLES, pd.read_parquet(asked), pd.read_parquet(cell))
    models = copy.config["models"] | {
        "aligned": {"samples": SAMPLES},
        "chat": {"path": str(CHECKPOINTS["aligned"]), "chat_template": True},
    }
    copy.write(
        copy.config
        | {
            "models": models,
            "pairs": {"Chat": {"base": "aligned", "aligned": "chat"}},
            "ladders": {"Demo": ["base", "aligned", "chat"]},
            "tasks": {"demo_physical": task},
        }
    )
    for left in (copy.results / "tables", *copy.results.glob("logits/*/demo_geography")):
        shutil.rmtree(left)
    run = copy.run(targets=["export", *TABLES])
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"data set: export/{STUDY}/" in run.stderr.splitlines()
    (copy.folder / SAMPLES).rename(tmp_path_factory.mktemp("gone") / "samples")
    return copy


@pytest.fixture(scope="module")
def folder(exported: Study) -> Path:
    return exported.folder / "export" / STUDY


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the libraries of mlcroissant
def test_it_is_croissant(folder: Path) -> None:
    data_set = mlcroissant.Dataset(folder / "croissant.json")
    assert not data_set.metadata.issues.errors
    distribution = json.loads((folder / "croissant.json").read_text("utf-8"))["distribution"]
    for file in distribution:
        if file["@type"] == "cr:FileObject":
            assert sha256(folder / file["contentUrl"]) == file["sha256"]
        else:
            assert list(folder.glob(file["includes"]))
    found = pd.DataFrame(data_set.records("changes"))
    wanted = pd.read_parquet(folder / "changes.parquet")
    assert list(found.columns) == [f"changes/{name}" for name in wanted.columns]
    assert found["changes/change"].tolist() == wanted["change"].tolist()
    first = next(iter(data_set.records("confidences")))
    place = folder / "confidences" / first["confidences/model"].decode()
    rows = pd.read_parquet(place / f"{first['confidences/task'].decode()}.parquet")
    assert first["confidences/probabilities"] == rows["probabilities"][0].tolist()


@pytest.mark.slow
def test_the_card_says_how_the_study_was_made(exported: Study, folder: Path) -> None:
    card = (folder / "README.md").read_text("utf-8")
    assert yaml.safe_load(card.split("---")[1])["configs"][0]["config_name"] == "changes"
    for model in exported.config["models"]:
        assert read_json(folder / "models" / f"{model}.json")["revision"] in card
    for told in ("`demo_physical_choice` | 20", "continuation_min", "Return the label", "bins: 10",
                 "seed: 0", "transformers", "numpy"):  # fmt: skip
        assert told in card


@pytest.mark.slow
def test_no_text_of_it_names_a_place_of_the_machine_that_the_config_does_not(
    exported: Study, folder: Path
) -> None:
    places = {str(exported.folder), str(exported.root), str(Path.home()), str(ROOT)}
    for file in [folder / "README.md", folder / "croissant.json"]:
        assert not [place for place in places if place in file.read_text("utf-8")], file
    assert {read_json(file)["path"] for file in folder.glob("models/*.json")} == {None}
    # The config's own is said to be one.
    log = (exported.results / "logs" / "export.log").read_text("utf-8")
    assert "models.base.path: an absolute path" in log


@pytest.mark.slow
def test_a_fresh_clone_makes_the_same_tables_and_scores_nothing(
    exported: Study, folder: Path, tmp_path: Path
) -> None:
    published = tmp_path / "published"
    shutil.copytree(folder, published)
    (tmp_path / "clone").mkdir()
    wanted = exported.tables()
    made = [f"results/{STUDY}/{file}" for file in wanted if not file.startswith("logits/")]
    clone = Study(tmp_path / "clone", made, published / "config.yaml")
    taken = ("--config", f"scored={published}")
    planned = {job.rule for job in clone.planned_jobs(*taken)}
    assert {"taken_questions", "taken_cells"} <= planned
    assert not planned & {"models", "questions", "score_model"}
    run = clone.run(*taken)
    assert run.returncode == 0, run.stdout + run.stderr
    found = clone.tables()
    assert [file for file in wanted if found[file] != wanted[file]] == []
    assert found.keys() == wanted.keys()
    again = clone.run(*taken)
    assert "Nothing to be done" in again.stdout + again.stderr


def _published(folder: Path, scored: object = None, **changes: object) -> Path:
    """A config, in a folder as an export has it; its models, say."""
    study = {
        "study": "small",
        "models": {"base": {"path": "a"}, "aligned": {"path": "b"}},
        "pairs": {"Pair": {"base": "base", "aligned": "aligned"}},
        "tasks": {"arc": {"continuation": "arc_easy"}},
        "methods": ["continuation_sum"],
    }
    folder.mkdir(exist_ok=True)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(study | changes | ({"scored": scored} if scored else {})))
    return file


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"models": {"base": {"path": "other"}, "aligned": {"path": "b"}}}, "models.base: not as"),
        ({"tasks": {"arc": {"continuation": "arc_easy", "limit": 3}}}, "tasks.arc: not as in"),
        ({"tasks": {"new": {"continuation": "arc_easy"}}}, "tasks.new: not in"),
        ({"scoring": {"dtype": "bfloat16"}}, "scoring.dtype"),
        ({"letters": {"block": "other"}}, "letters.block"),
    ],
)
def test_a_study_that_asks_for_something_else_than_was_scored_is_refused(
    tmp_path: Path, changes: dict[str, object], place: str
) -> None:
    _published(tmp_path / "published")
    file = _published(tmp_path / "own", scored=str(tmp_path / "published"), **changes)
    with pytest.raises(UserError, match=place) as caught:
        config.load([file], {}, SCHEMA)
    assert "letters" in place or str(tmp_path / "published") in str(caught.value)


def test_other_metrics_of_what_was_scored_are_allowed(tmp_path: Path) -> None:
    _published(tmp_path / "published")
    given = {"scored": str(tmp_path / "published"), "statistics": {"bins": 7}, "metrics": ["nll"]}
    assert config.load([_published(tmp_path / "own", **given)], {}, SCHEMA)["metrics"] == ["nll"]


@pytest.mark.slow
def test_an_edited_export_is_not_taken(folder: Path, tmp_path: Path) -> None:
    receipt = next(folder.glob("logits/base/*/continuation.receipt.json"))
    other = next(folder.glob("logits/aligned/*/continuation.parquet"))
    shutil.copy(receipt, tmp_path / receipt.name)
    shutil.copy(other, tmp_path / "continuation.parquet")
    with pytest.raises(UserError, match="scored with another"):
        take(tmp_path / receipt.name, tmp_path / "out" / receipt.name)
    assert not (tmp_path / "out").exists()


def test_absolute_paths_are_found_wherever_they_stand() -> None:
    study = {"task_folders": ["/a"], "tasks": {"t": {"data": {"file": "/b"}}}, "study": "x/y"}
    assert list(absolute_paths(study)) == ["task_folders", "tasks.t.data.file"]
