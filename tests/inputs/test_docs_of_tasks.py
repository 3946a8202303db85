"""The examples of docs/tasks.md work as they stand."""

import re
from pathlib import Path

import pytest
import yaml

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.study import config
from alignment_calibration.study.letters import TEMPLATES
from tests.support.study import ROOT

TASKS = ROOT / "workflow" / "tasks"
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
YAMLS = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
(DOCUMENTS,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.S)
STUDIES = [text for text in YAMLS if "\ntasks:" in f"\n{text}"]
OURS = [text for text in YAMLS if text.startswith("# workflow/tasks/")]
OF_THE_USER = [text for text in YAMLS if text.startswith("task: ")]


def test_every_example_is_of_a_kind() -> None:
    assert len(STUDIES) + len(OURS) + len(OF_THE_USER) == len(YAMLS)
    assert all((STUDIES, OURS, OF_THE_USER))


@pytest.mark.parametrize("text", STUDIES)
def test_tasks_of_a_config_are_valid_and_known(text: str, tmp_path: Path) -> None:
    study = {
        "study": "mine",
        "models": {"a": {"path": "a"}, "b": {"path": "b"}},
        "pairs": {"P": {"base": "a", "aligned": "b"}},
        "methods": ["continuation_sum", "choice"],
        **yaml.safe_load(text),
    }
    prompts = {prompt for task in study["tasks"].values() for prompt in task}
    if "choice" not in prompts:
        study["methods"].remove("choice")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    loaded = config.load([tmp_path / "study.yaml"], {}, schema)
    library = Library(TASKS)
    for task in loaded["tasks"].values():
        for prompt in prompts & {"continuation", "choice"}:
            assert library.definitions(task[prompt] or []) or not task[prompt]


@pytest.mark.parametrize("text", OURS)
def test_a_task_of_ours_is_shown_as_it_is(text: str) -> None:
    file = ROOT / text.splitlines()[0].removeprefix("# ")
    assert yaml.safe_load(text) == yaml.safe_load(file.read_text(encoding="utf-8"))


def folder_of_tasks(folder: Path, **changes: str) -> Path:
    """A folder with the page's own task, its data beside it, and edits of its YAML."""
    folder.mkdir()
    for text in OF_THE_USER:
        for old, new in changes.items():
            text = re.sub(rf"^{old}: .*$", f"{old}: {new}", text, flags=re.M)
        (folder / f"{yaml.safe_load(text)['task']}.yaml").write_text(text, encoding="utf-8")
    (folder / "my_facts.jsonl").write_text(DOCUMENTS, encoding="utf-8")
    return folder


def ask(folder: Path, name: str) -> Path:
    output = folder / "questions.parquet"
    write_questions(
        [name],
        limit=None,
        num_fewshot=0,
        letters=TEMPLATES["block"],
        data=None,
        task_folders=[str(folder)],
        own_tasks=TASKS,
        where="tasks.mine.continuation",
        output=output,
    )
    return output


def test_a_users_task_is_asked_wherever_the_run_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_tasks(tmp_path / "tasks")
    monkeypatch.chdir(tmp_path)
    Library(TASKS, [folder]).check(["my_facts", "my_facts_choice"], None)
    rows = read_parquet(ask(folder, "my_facts"), QUESTIONS).to_pylist()
    options = [" Paris", " Lyon", " Nice", " Milan", " Rome"]
    assert [row["continuation"] for row in rows] == options
    assert [row["gold"] for row in rows] == [0, 0, 0, 1, 1]
    letters = read_parquet(ask(folder, "my_facts_choice"), QUESTIONS).to_pylist()
    assert [row["continuation"] for row in letters] == [" A", " B", " C", " A", " B"]
    (folder / "my_facts.jsonl").unlink()
    with pytest.raises(UserError, match=f"there is no file {folder}/my_facts.jsonl"):
        Library(TASKS, [folder]).check(["my_facts_choice"], None)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("doc_to_text", "qeustion"),
        ("doc_to_text", '"{{qeustion}}"'),
        ("doc_to_choice", "qeustion"),
        ("doc_to_choice", '"{{[qeustion, gold]}}"'),
        ("doc_to_target", "qeustion"),
        ("doc_to_target", '"{{qeustion}}"'),
    ],
)
def test_a_wrong_column_is_named_with_those_there_are(
    field: str, text: str, tmp_path: Path
) -> None:
    folder = folder_of_tasks(tmp_path / "tasks", **{field: text})
    with pytest.raises(UserError) as error:
        ask(folder, "my_facts")
    assert str(error.value).endswith("no column 'qeustion'; columns: question, options, gold")
    assert f"{field} is " in str(error.value)


def test_templates_in_a_list_of_options_are_refused(tmp_path: Path) -> None:
    """lm-eval fills in a template of all options, and takes those in a list word for word."""
    folder = folder_of_tasks(tmp_path / "tasks", doc_to_choice="['{{question}}', 'none']")
    with pytest.raises(UserError, match=r'lists "{{question}}", which lm-eval does not fill in'):
        ask(folder, "my_facts")


def test_data_in_a_repository_of_the_hub_is_no_local_file() -> None:
    """lm-eval's mmlusr names files within the repository that `dataset_path` names."""
    library = Library(TASKS)
    (definition,) = library.definitions(["mmlusr_answer_only_anatomy"])
    assert "/" in library.config(definition)["dataset_path"]
    library.check([definition.name], None)
    files = library.config(definition)["dataset_kwargs"]["data_files"]
    assert not any(Path(file).is_absolute() for file in files.values())
