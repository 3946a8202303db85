"""A user's task YAML is data; ours and lm-eval's may name code, and are merged as lm-eval does."""

import os
from pathlib import Path

import pytest
from lm_eval.tasks._yaml_loader import load_yaml

from alignment_calibration.errors import UserError
from alignment_calibration.inputs import task_yaml
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.stock_tasks import stock_folder
from alignment_calibration.inputs.task_yaml import Hook, Trust, read_task

TASKS = Path(__file__).parents[2] / "workflow" / "tasks"
TRUST = Trust((TASKS, stock_folder()), TASKS.parent / "schemas" / "task.schema.yaml")


def refused(path: Path, match: str) -> None:
    with pytest.raises(UserError, match=match) as error:
        read_task(path, TRUST)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("where", ["here", "included"])
def test_code_in_a_users_folder_is_refused(tmp_path, where):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    text = "task: mine\ndoc_to_text: !function evil.run\n"
    if where == "included":
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "template").write_text(text)
        text = "include: ../outside/template\ntask: mine\n"
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=r"line 2: the tag !function is not taken"):
        Library(TASKS, [folder]).definitions(["mine"])


@pytest.mark.parametrize("text", ["task: [", "- a list\n"])
def test_a_broken_yaml_is_named(tmp_path, text):
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(UserError, match=r"broken.yaml"):
        Library(TASKS, [tmp_path]).sources(["piqa"])


def test_a_yaml_of_another_purpose_is_left_alone(tmp_path):
    (tmp_path / "study.yaml").write_text("models: {base: {path: data}}\n")
    (tmp_path / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa}\n")
    library = Library(TASKS, [tmp_path])
    assert set(library.sources(["mine"])) == {tmp_path / "mine.yaml", stock_folder()}


def test_a_stock_task_is_read_as_lm_eval_reads_it():
    path = stock_folder() / "hellaswag" / "hellaswag.yaml"
    ours = read_task(path, TRUST)
    lm_evals = load_yaml(path, resolve_func=True)
    assert isinstance(ours.config["process_docs"], Hook)
    assert ours.code == (path.parent / "utils.py",)
    functions = {"process_docs"}
    assert {k: v for k, v in ours.config.items() if k not in functions} == {
        k: v for k, v in lm_evals.items() if k not in functions
    }
    assert ours.config["process_docs"] == f"utils.{lm_evals['process_docs'].__name__}"


def test_includes_have_an_end(tmp_path):
    """Each of thirty files includes the next one twice: a thousand million readings."""
    for number in range(30):
        text = f"include: [{number + 1}.part, {number + 1}.part]\n"
        (tmp_path / f"{number}.part").write_text(text)
    (tmp_path / "30.part").write_text("description: end\n")
    (tmp_path / "mine.yaml").write_text("task: mine\ninclude: 0.part\n")
    refused(tmp_path / "mine.yaml", f"includes more than {task_yaml.MAX_FILES} files")


def test_groups_have_an_end(tmp_path):
    for number in range(30):
        text = f"group: g{number}\ntask: [g{number + 1}, g{number + 1}]\n"
        (tmp_path / f"{number}.yaml").write_text(text)
    (tmp_path / "30.yaml").write_text("task: g30\nmetadata: {based_on: piqa}\n")
    library = Library(TASKS, [tmp_path])
    with pytest.raises(UserError, match="'g30' comes in twice"):
        library.definitions(["g0"])
    assert set(library.sources(["g0"])) == {*tmp_path.iterdir(), stock_folder()}


def test_groups_within_groups_are_sources(tmp_path):
    (tmp_path / "mine.yaml").write_text("task: mine\nmetadata: {based_on: piqa}\n")
    (tmp_path / "all.yaml").write_text("group: all\ntask: [{group: part, task: [mine]}]\n")
    found = Library(TASKS, [tmp_path]).sources(["all"])
    assert set(found) == {*tmp_path.iterdir(), stock_folder()}


@pytest.mark.parametrize("include", ["pipe", "/dev/zero", ".", "nothing", "circle"])
def test_only_regular_files_are_included(tmp_path, include):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "mine.yaml").write_text(f"task: mine\ninclude: {include}\n")
    refused(tmp_path / "mine.yaml", "not a regular file|cannot be read")


def test_a_pipe_in_a_task_folder_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(UserError, match=r"pipe.yaml: not a regular file"):
        Library(TASKS, [tmp_path]).sources(["piqa"])


@pytest.mark.parametrize("folder", ["/proc", "/"])
def test_a_folder_that_is_no_folder_of_tasks(folder):
    with pytest.raises(UserError, match=r"holds more than 10000 files|cannot be read"):
        Library(TASKS, [folder]).sources(["piqa"])
