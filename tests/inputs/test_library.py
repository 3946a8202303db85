"""Task YAMLs are found by name, taken apart and guarded as lm-eval's own index has them."""

from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.stock_tasks import stock_folder

TASKS = Path(__file__).parents[2] / "workflow" / "tasks"


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(TASKS)


def names(library: Library, name: str) -> list[str]:
    return [definition.name for definition in library.definitions([name])]


def lm_evals(folder: str, name: str) -> list[str]:
    """Names of the tasks that lm-eval's own index of one of its folders has for a group or tag."""
    index = TaskManager(include_path=str(stock_folder() / folder), include_defaults=False)

    def expand(name: str) -> list[str]:
        entry = index.task_index[name]
        if entry.tags and entry.yaml_path is None:
            return sorted(entry.tags)
        if "group" in (entry.cfg or {}):
            return [leaf for member in entry.cfg["task"] for leaf in expand(member)]
        return [name]

    return expand(name)


@pytest.mark.parametrize("subject", ["humanities", "other", "social_sciences", "stem"])
def test_groups_have_the_tasks_of_lm_evals_index(library, subject):
    found = names(library, f"mmlu_{subject}")
    assert found == lm_evals("mmlu/default", f"mmlu_{subject}")
    assert len(found) >= 12
    continuation = names(library, f"mmlu_{subject}_continuation")
    assert continuation == lm_evals("mmlu/continuation", f"mmlu_{subject}_continuation")
    assert continuation == [f"{name}_continuation" for name in found]


def test_a_tag_has_the_tasks_that_inherit_it(library):
    assert names(library, "ai2_arc") == lm_evals("arc", "ai2_arc") == ["arc_challenge", "arc_easy"]


def test_nested_groups_come_apart(library):
    assert len(names(library, "mmlu")) == len(names(library, "mmlu_continuation")) == 57


def test_an_unknown_name_is_answered_with_close_ones(library):
    with pytest.raises(UserError, match=r"no task 'arc_eazy'.*did you mean 'arc_easy'"):
        names(library, "arc_eazy")
    with pytest.raises(UserError, match=r"no task 'sciq_shufled'.*'sciq_shuffled'"):
        names(library, "sciq_shufled")


def test_a_task_may_not_come_in_twice(library):
    with pytest.raises(UserError, match="'mmlu_anatomy' comes in twice"):
        library.definitions(["mmlu_stem", "mmlu_anatomy"])


def test_sources_are_our_files_and_lm_evals_folder_of_tasks(library):
    assert {path.name for path in library.sources(["sciq_choice"])} == {
        "sciq.py",
        "sciq_choice.yaml",
        "sciq_shuffled.yaml",
        "tasks",
    }
    assert library.sources(["arc_easy", "mmlu_stem"]) == [stock_folder()]
    assert "tasks" not in {path.name for path in library.sources(["demo_words"])}


def test_every_task_of_ours_is_known_under_its_files_name(library):
    for path in TASKS.glob("*.yaml"):
        assert names(library, path.stem) == [path.stem]


def test_a_users_folder_wins_over_ours_and_lm_evals(tmp_path):
    data = tmp_path / "mine.jsonl"
    data.write_text("{}\n")
    text = f"task: piqa\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    library = Library(TASKS, [tmp_path])
    (definition,) = library.definitions(["piqa"])
    assert definition.files == (tmp_path / "mine.yaml",)
    assert library.sources(["piqa"]) == [data, tmp_path / "mine.yaml"]


def test_a_users_task_may_stand_on_lm_evals_with_its_hooks(tmp_path):
    (tmp_path / "mine.yaml").write_text("task: mine\nmetadata: {based_on: hellaswag}\n")
    (definition,) = Library(TASKS, [tmp_path]).definitions(["mine"])
    assert definition.files == (
        stock_folder() / "hellaswag" / "hellaswag.yaml",
        tmp_path / "mine.yaml",
    )


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"task_folders: found .*absent"):
        Library(TASKS, [tmp_path / "absent"]).sources(["piqa"])
