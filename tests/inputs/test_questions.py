"""Questions equal what lm-eval itself asks, and unanswerable ones are found out."""

import hashlib
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval
import pyarrow.parquet as pq
import pytest
import yaml
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.inputs.stock_tasks import stock_folder
from alignment_calibration.study.chats import CHATS
from alignment_calibration.study.letters import TEMPLATES
from tests.support import documents
from tests.support.documents import arc

TASKS = Path(__file__).parents[2] / "workflow" / "tasks"
DATA = Path("../shared/data")
Row = dict[str, Any]


class HashLM(LM):  # type: ignore[misc]  # lm-eval has no types
    """Scores by a hash of the request, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        self.asked += [request.args for request in requests]
        return [(log_probability(*request.args), False) for request in requests]

    def loglikelihood_rolling(self, requests: list[Any]) -> Any:
        raise NotImplementedError

    def generate_until(self, requests: list[Any]) -> Any:
        raise NotImplementedError


def log_probability(context: str, continuation: str) -> float:
    digest = hashlib.sha256(f"{context}\0{continuation}".encode()).digest()
    return -int.from_bytes(digest[:4], "big") / 2**32


@pytest.fixture
def ask(tmp_path) -> Callable[..., list[Row]]:
    """Rows of the questions file of some lm-eval tasks."""

    def ask(names: str, **changes: Any) -> list[Row]:
        settings: dict[str, Any] = {
            "limit": None,
            "num_fewshot": 0,
            "letters": TEMPLATES["block"],
            "data": None,
            "task_folders": [],
            "own_tasks": TASKS,
            "where": "tasks.trial.choice",
            "output": tmp_path / "questions.parquet",
        }
        write_questions(names.split(), **settings | changes)
        rows: list[Row] = read_parquet(settings["output"], QUESTIONS).to_pylist()
        return rows

    return ask


def json_data(path: Path, docs: Any) -> dict[str, str]:
    return {"format": "json", "file": documents.write(path, docs)}


def by_question(rows: list[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row["question_id"]].append(row)
    return found


def accuracy(rows: list[Row]) -> float:
    """Share of questions whose likeliest option under `log_probability` is the gold one."""
    questions = by_question(rows).values()
    right = 0
    for options in questions:
        scores = [log_probability(row["context"], row["continuation"]) for row in options]
        right += scores.index(max(scores)) == options[0]["gold"]
    return right / len(questions)


def evaluate(task: Any, **settings: Any) -> tuple[list[tuple[str, str]], float]:
    """What lm-eval asks a model for this task, and the accuracy it reports."""
    model = HashLM()
    nothing_scanned = {"task_manager": TaskManager(include_defaults=False)}
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[task],
        bootstrap_iters=0,
        log_samples=False,
        **nothing_scanned | settings,
    )
    ((_, values),) = results["results"].items()
    return model.asked, values["acc,none"]


def stock(folder: Path, yaml_name: str, changes: dict[str, Any]) -> str:
    """Write a YAML of lm-eval's own with other data, and return the name of its task."""
    name = Path(yaml_name).stem
    changes = {"include": str(stock_folder() / yaml_name), "task": name, **changes}
    (folder / "stock").mkdir()
    (folder / "stock" / "task.yaml").write_text(yaml.safe_dump(changes))
    return name


REAL = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")


@pytest.mark.parametrize(
    ("yaml_name", "split", "docs"),
    [
        pytest.param("arc/arc_easy.yaml", "test", DATA / "arc_easy_test.jsonl", marks=REAL),
        pytest.param("piqa/piqa.yaml", "validation", DATA / "piqa_validation.jsonl", marks=REAL),
        ("arc/arc_challenge.yaml", "test", documents.ARC),
        ("piqa/piqa.yaml", "validation", documents.PIQA),
        ("hellaswag/hellaswag.yaml", "validation", documents.HELLASWAG),
        ("medmcqa/medmcqa.yaml", "validation", documents.MEDMCQA),
        ("mmlu/default/mmlu_anatomy.yaml", "test", documents.mmlu("bones")),
        ("mmlu/continuation/mmlu_anatomy.yaml", "test", documents.mmlu("bones")),
        ("winogrande/default.yaml", "validation", documents.WINOGRANDE),
    ],
)
def test_requests_and_accuracy_equal_lm_evals(ask, tmp_path, yaml_name, split, docs):
    file = str(docs) if isinstance(docs, Path) else documents.write(tmp_path / "d.jsonl", docs)
    original = yaml.load((stock_folder() / yaml_name).read_text(), yaml.BaseLoader)
    files = dict.fromkeys(["train", "validation", "test", "dev"], str(Path(file).absolute()))
    changes = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(tmp_path / "cache")},
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "task": original["task"],
    }
    stock(tmp_path, yaml_name, changes)
    manager = TaskManager(include_path=str(tmp_path / "stock"), include_defaults=False)
    asked, lm_eval_accuracy = evaluate(original["task"], task_manager=manager)

    rows = ask(original["task"], data={"format": "json", "file": file})

    assert sorted((row["context"], row["continuation"]) for row in rows) == sorted(asked)
    assert accuracy(rows) == pytest.approx(lm_eval_accuracy)
    assert {row["group"] for row in rows} == {original["task"]}
    assert all(row["source_choice"] == row["choice"] for row in rows)


@pytest.mark.parametrize(
    ("name", "docs"),
    [
        ("arc_easy_choice", documents.ARC),
        ("piqa_choice", documents.PIQA),
        ("hellaswag_choice", documents.HELLASWAG),
        ("sciq_choice", documents.SCIQ),
        ("sciq_shuffled", documents.SCIQ),
        ("medmcqa_continuation", documents.MEDMCQA),
    ],
)
def test_tasks_of_our_own_can_be_run_by_lm_eval(ask, tmp_path, name, docs):
    data = json_data(tmp_path / "docs.jsonl", docs)
    library = Library(TASKS)
    (definition,) = library.definitions([name])
    scratch = tmp_path / "scratch"
    task = build(
        library,
        definition,
        scratch=scratch,
        num_fewshot=0,
        letters=TEMPLATES["block"],
        data=data,
    )
    asked, lm_eval_accuracy = evaluate(task)

    rows = ask(name, data=data)

    assert sorted((row["context"], row["continuation"]) for row in rows) == sorted(asked)
    assert accuracy(rows) == pytest.approx(lm_eval_accuracy)


def test_fewshot_examples_are_those_that_lm_eval_draws(ask, tmp_path):
    docs = [arc(f"Is {n} odd?", ["yes", "no"], "AB", "BA"[n % 2]) for n in range(30)]
    examples = documents.write(tmp_path / "examples.jsonl", docs[:20])
    data = json_data(tmp_path / "docs.jsonl", docs[20:])
    changes = {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {
            "data_files": {"train": examples, "test": data["file"]},
            "cache_dir": str(tmp_path / "cache"),
        },
        "validation_split": None,
    }
    stock(tmp_path, "arc/arc_easy.yaml", changes)
    manager = TaskManager(include_path=str(tmp_path / "stock"), include_defaults=False)
    asked, _ = evaluate("arc_easy", task_manager=manager, num_fewshot=3)

    rows = ask("arc_easy", num_fewshot=3, data=data | {"fewshot_file": examples})

    assert rows[0]["context"].count("Question:") == 4
    assert sorted((row["context"], row["continuation"]) for row in rows) == sorted(asked)


def test_block_and_line_are_the_published_prompts(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.ARC)
    block = by_question(ask("arc_easy_choice", data=data))
    line = by_question(ask("arc_easy_choice", data=data, letters=TEMPLATES["line"]))
    assert block["arc_easy_choice/000000"][0]["context"] == (
        "Return the label of the correct answer for the question below.\n"
        "\n"
        "Question: Which gas do plants take in?\n"
        "Choices:\n"
        "A) oxygen\n"
        "B) carbon dioxide\n"
        "C) helium\n"
        "D) neon\n"
        "Answer:"
    )
    assert line["arc_easy_choice/000001"][0]["context"] == (
        "Select one of the choices that answers the following question: What melts first? "
        "Choices: A. ice. B. iron. C. granite. Answer:"
    )


def test_arcs_numbers_of_options_and_numeric_labels(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.ARC)
    for name, letters in (("arc_challenge", False), ("arc_challenge_choice", True)):
        questions = list(by_question(ask(name, data=data)).values())
        assert [len(options) for options in questions] == [4, 3, 5, 4]
        assert [options[0]["gold"] for options in questions] == [1, 0, 1, 3]
        for options, document in zip(questions, documents.ARC, strict=True):
            texts = "ABCDE" if letters else document["choices"]["text"]
            wanted = [f" {text}" for text in texts][: len(options)]
            assert [row["continuation"] for row in options] == wanted


def test_a_template_of_the_users(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.PIQA[:1])
    template = "{{ question | upper }}\n{{ letters[0] }}={{ options[0] }};{{ options | length }}"
    rows = ask("piqa_choice", data=data, letters=template)
    assert rows[0]["context"] == "DRY A PLATE.\nA=Use a towel.;2"
    assert [row["continuation"] for row in rows] == [" A", " B"]


def test_sciqs_options_are_shuffled_alike_in_both_prompts(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.SCIQ)
    continuation = by_question(ask("sciq_shuffled", data=data))
    choice = by_question(ask("sciq_choice", data=data))
    golds = []
    pairs = zip(continuation.values(), choice.values(), strict=True)
    for document, (options, letters) in zip(documents.SCIQ, pairs, strict=True):
        source = ["distractor1", "distractor2", "distractor3", "correct_answer"]
        wanted = [f" {document[source[row['source_choice']]]}" for row in options]
        assert [row["continuation"] for row in options] == wanted
        assert sorted(row["source_choice"] for row in options) == [0, 1, 2, 3]
        gold = options[0]["gold"]
        assert options[gold]["source_choice"] == 3
        assert letters[0]["gold"] == gold
        listed = "".join(f"{letter}){text}\n" for letter, text in zip("ABCD", wanted, strict=True))
        assert listed in letters[0]["context"]
        golds.append(gold)
    # 40 questions: each position about ten times, and hardly ever less than three times.
    assert min(golds.count(position) for position in range(4)) >= 3


def test_options_of_winogrande_are_contexts(ask, tmp_path):
    rows = ask("winogrande", data=json_data(tmp_path / "docs.jsonl", documents.WINOGRANDE))
    assert [row["context"] for row in rows[:2]] == [
        "The cup did not fit the box because the cup",
        "The cup did not fit the box because the box",
    ]
    assert {row["continuation"] for row in rows[:2]} == {" was too large."}
    assert [rows[0]["gold"], rows[2]["gold"]] == [0, 1]


def test_options_without_a_context_are_those_of_the_continuation_prompt(ask):
    asked = ask("demo_words", limit=9)
    alone = ask("demo_words", limit=9, prompt="unconditional")
    assert alone == [row | {"context": ""} for row in asked]


def test_contexts_of_their_own_cannot_be_left_away(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.WINOGRANDE)
    with pytest.raises(UserError, match="options have contexts of their own") as caught:
        ask("winogrande", data=data, prompt="unconditional", where="tasks.w.unconditional")
    assert str(caught.value).startswith("tasks.w.unconditional: question winogrande/000000: ")
    assert "\n" not in str(caught.value)


def listed_under(context: str) -> dict[str, str]:
    """What stands behind each letter in the last question of a context."""
    listed = re.findall(r"^([A-E])[).] ?(.*)$", context, re.MULTILINE)
    return dict(listed)  # later ones, of the question itself, win over those of examples


@pytest.mark.parametrize(
    ("name", "docs"),
    [
        ("arc_easy_choice", documents.ARC),
        ("piqa_choice", documents.PIQA),
        ("sciq_choice", documents.SCIQ),
        ("hellaswag_choice", documents.HELLASWAG),
        ("medmcqa", documents.MEDMCQA),
        ("mmlu_anatomy", documents.mmlu("anatomy")),
    ],
)
def test_every_rotation_moves_the_options_and_nothing_else(ask, tmp_path, name, docs):
    data = json_data(tmp_path / "docs.jsonl", docs)
    as_is = by_question(ask(name, data=data))
    rotated = by_question(ask(name, data=data, prompt="choice_cyclic"))
    assert list(rotated) == [
        f"{question}@{by:02d}" for question, rows in as_is.items() for by in range(len(rows))
    ]
    for number, (key, rows) in enumerate(rotated.items()):
        question, _, by = key.partition("@")
        first = as_is[question]
        if by == "00":
            assert [row | {"question_id": question} for row in rows] == first
        before, after = (listed_under(some[0]["context"]) for some in (first, rows))
        letters = "ABCDE"[: len(rows)]
        moved = letters[int(by) :] + letters[: int(by)]
        assert [after[letter] for letter in letters] == [before[letter] for letter in moved], number
        assert after[letters[rows[0]["gold"]]] == before[letters[first[0]["gold"]]]
        place = {row["source_choice"]: before[letters[row["choice"]]] for row in first}
        assert {row["source_choice"]: after[letters[row["choice"]]] for row in rows} == place
        assert [row["continuation"] for row in rows] == [row["continuation"] for row in first]


def test_rotations_have_the_same_worked_examples(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.ARC)
    data["fewshot_file"] = documents.write(tmp_path / "shots.jsonl", [
        arc(f"Shot {i}?", [f"yes {i}", "no", "perhaps"], "ABC", "B") for i in range(6)
    ])  # fmt: skip
    rows = ask("arc_easy_choice", data=data, num_fewshot=2, prompt="choice_cyclic")
    examples = defaultdict(set)
    for row in rows:
        header, _, _ = row["context"].rpartition("Return the label")
        examples[row["question_id"].partition("@")[0]].add(header)
    assert all(len(headers) == 1 for headers in examples.values())
    assert len(set.union(*examples.values())) > 1


def test_rotations_can_be_chats(ask, tmp_path):
    """The same questions in words and as chats: what the user says is the text."""
    data = json_data(tmp_path / "docs.jsonl", documents.ARC)
    texts, chats = (
        ask("arc_easy_choice", data=data, prompt="choice_cyclic", chat=chat)
        for chat in (None, next(iter(CHATS)))
    )
    for text, chat in zip(texts, chats, strict=True):
        [message] = json.loads(chat["context"])["messages"]
        assert message == {"role": "user", "content": text["context"]}
        assert chat["gold"] == text["gold"]


def test_options_of_unknown_columns_cannot_be_rotated(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.WINOGRANDE)
    with pytest.raises(UserError, match="winogrande: which columns hold its options") as caught:
        ask("winogrande", data=data, prompt="choice_cyclic")
    assert "\n" not in str(caught.value)


def test_a_text_that_does_not_follow_its_options_is_refused(ask, tmp_path):
    docs = [{"q": "Q?", "choices": ["a", "b"], "answer": 0}]
    (tmp_path / "own").mkdir()
    task = {
        "task": "stubborn",
        "dataset_path": "json",
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "{{q}} A. x B. y Answer:",
        "doc_to_choice": ["A", "B"],
        "doc_to_target": "answer",
    }
    (tmp_path / "own" / "stubborn.yaml").write_text(yaml.safe_dump(task))
    with pytest.raises(UserError, match="question stubborn/000000: with its options in another"):
        ask(
            "stubborn",
            data=json_data(tmp_path / "docs.jsonl", docs),
            task_folders=[str(tmp_path / "own")],
            prompt="choice_cyclic",
        )


@pytest.mark.parametrize("suffix", ["", "_continuation"])
def test_a_group_pools_its_subjects_read_by_subset(ask, tmp_path, suffix):
    folder = stock_folder() / "mmlu" / "default"
    for path in folder.glob("mmlu_*.yaml"):
        subject = yaml.safe_load(path.read_text())["dataset_name"]
        documents.write(tmp_path / subject / "test.jsonl", documents.mmlu(subject, 2))
    data = {"format": "json", "file": str(tmp_path / "{subset}" / "test.jsonl")}
    rows = ask(f"mmlu_social_sciences{suffix}", data=data, limit=1)
    groups = {row["group"] for row in rows}
    assert len(groups) == 12  # subjects of the social sciences (Hendrycks et al. 2021)
    assert f"mmlu_econometrics{suffix}" in groups
    assert len(rows) == 12 * 4
    assert {row["question_id"].partition("/")[2] for row in rows} == {"000000"}


def test_rows_are_sorted_by_number_and_bytes_are_the_same_each_time(ask, tmp_path):
    docs = [documents.PIQA[n % 2] for n in range(12)]
    data = json_data(tmp_path / "docs.jsonl", docs)
    rows = ask("piqa", data=data, output=tmp_path / "questions.parquet")
    assert [row["question_id"] for row in rows[::2]] == [f"piqa/{n:06d}" for n in range(12)]
    first = (tmp_path / "questions.parquet").read_bytes()
    ask("piqa", data=data)
    assert (tmp_path / "questions.parquet").read_bytes() == first
    assert pq.read_schema(tmp_path / "questions.parquet").names == QUESTIONS.names


def test_parquet_files_are_read_as_well(ask, tmp_path):
    import pandas as pd

    pd.DataFrame(documents.PIQA).to_parquet(tmp_path / "piqa.parquet")
    data = {"format": "parquet", "file": str(tmp_path / "piqa.parquet")}
    assert ask("piqa", data=data) == ask("piqa", data=json_data(tmp_path / "d", documents.PIQA))


def test_limit_takes_the_first_documents_of_each_task(ask, tmp_path):
    data = json_data(tmp_path / "docs.jsonl", documents.ARC)
    assert list(by_question(ask("arc_easy", data=data, limit=2))) == [
        "arc_easy/000000",
        "arc_easy/000001",
    ]


GOOD = documents.PIQA[0]


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", ["piqa", "piqa_choice"])
@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"label": 2}, "gold"),
        ({"label": -1}, "gold"),
        ({"sol2": ""}, "empty string"),
        ({"sol2": "  "}, "empty string"),
    ],
)
def test_a_question_that_cannot_be_asked(ask, tmp_path, name, place, changes, wanted):
    docs = [GOOD, GOOD]
    docs[place] = GOOD | changes
    output = tmp_path / "questions.parquet"
    with pytest.raises(UserError, match=wanted) as error:
        ask(name, data=json_data(tmp_path / "docs.jsonl", docs))
    message = str(error.value)
    assert message.startswith("tasks.trial.choice: ")
    assert f"{name}/00000{place}" in message
    assert not output.exists()


def test_an_answer_that_is_not_among_the_labels(ask, tmp_path):
    docs = [*documents.ARC, arc("Bad?", ["yes", "no"], "AB", "C")]
    with pytest.raises(UserError, match=r"question arc_easy/000004: .* is not in list"):
        ask("arc_easy", data=json_data(tmp_path / "docs.jsonl", docs))


def test_a_question_with_one_option(ask, tmp_path):
    docs = [*documents.ARC, arc("Bad?", ["yes"], "A", "A")]
    with pytest.raises(UserError, match="question arc_easy/000004: has 1 option"):
        ask("arc_easy", data=json_data(tmp_path / "docs.jsonl", docs))


def test_more_options_than_letters(ask, tmp_path):
    docs = [*documents.ARC, arc("Bad?", [f"o{n}" for n in range(27)], "A" * 27, "A")]
    data = json_data(tmp_path / "docs.jsonl", docs)
    with pytest.raises(UserError, match="question arc_easy_choice/000004"):
        ask("arc_easy_choice", data=data)
    with pytest.raises(UserError, match="question arc_easy_choice/000004: has 27 options"):
        ask("arc_easy_choice", data=data, letters="{{ question }}")


def test_wrong_columns_and_missing_files(ask, tmp_path):
    with pytest.raises(UserError, match=r"question piqa/000000: .*no column 'goal'; columns: "):
        ask("piqa", data=json_data(tmp_path / "docs.jsonl", documents.ARC))
    with pytest.raises(UserError, match=r"there is no file .*absent.jsonl"):
        ask("piqa", data={"format": "json", "file": str(tmp_path / "absent.jsonl")})
    with pytest.raises(UserError, match=r"{subset} in its name"):
        ask("ai2_arc", data=json_data(tmp_path / "docs.jsonl", documents.ARC))


def test_a_task_that_is_not_multiple_choice(ask, tmp_path):
    docs = [{"question": "1 + 1?", "answer": "#### 2"}]
    with pytest.raises(UserError, match="gsm8k: its output_type is generate_until"):
        ask("gsm8k", data=json_data(tmp_path / "docs.jsonl", docs))


def test_the_options_of_a_question_stay_together(ask, tmp_path):
    rows = ask("arc_easy", data=json_data(tmp_path / "docs.jsonl", documents.ARC))
    runs = [key for key, _ in itertools.groupby(rows, key=lambda row: row["question_id"])]
    assert len(runs) == len(set(runs)) == len(documents.ARC)


def test_examples_are_not_drawn_from_the_evaluated_questions(ask, tmp_path):
    docs = [arc(f"Is {n} odd?", ["yes", "no"], "AB", "BA"[n % 2]) for n in range(9)]
    file = documents.write(tmp_path / "docs.jsonl", docs)
    data = {"format": "json", "file": file, "fewshot_file": str(tmp_path / "." / "docs.jsonl")}
    with pytest.raises(UserError, match=r"arc_easy: num_fewshot is 2, but .*docs.jsonl"):
        ask("arc_easy", num_fewshot=2, data=data)
    with pytest.raises(UserError, match=r"arc_easy: num_fewshot is 2, .* evaluated split 'test'"):
        ask("arc_easy", num_fewshot=2, data={"format": "json", "file": file})


@pytest.mark.parametrize(
    ("splits", "source"),
    [
        ({"test_split": "test"}, "evaluated split 'test'"),
        ({"validation_split": "validation"}, "evaluated split 'validation'"),
        ({"test_split": "test", "fewshot_split": "test"}, "evaluated split 'test'"),
        ({"test_split": "test", "fewshot_config": {"split": "test"}}, "evaluated split 'test'"),
        ({"test_split": "test", "training_split": "copy"}, "file of the questions"),
        ({"test_split": "test", "training_split": "train"}, None),
        ({"test_split": "test", "validation_split": "train"}, None),
        ({"test_split": "test", "fewshot_config": {"samples": documents.PIQA[:1]}}, None),
    ],
)
def test_where_a_tasks_examples_come_from(ask, tmp_path, splits, source):
    file = documents.write(tmp_path / "piqa.jsonl", documents.PIQA)
    other = documents.write(tmp_path / "other.jsonl", [{**documents.PIQA[0], "goal": "Else"}])
    files = {"test": file, "validation": file, "copy": file, "train": other}
    task = {
        "task": "mine",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files},
        "output_type": "multiple_choice",
        "doc_to_text": "Goal: {{goal}}",
        "doc_to_choice": "{{[sol1, sol2]}}",
        "doc_to_target": "label",
        **splits,
    }
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text(yaml.safe_dump(task))
    if source is None:
        rows = ask("mine", num_fewshot=1, task_folders=[str(tmp_path / "tasks")])
        assert len(by_question(rows)) == len(documents.PIQA)
    else:
        with pytest.raises(UserError, match=f"mine: num_fewshot is 1, .*{source}"):
            ask("mine", num_fewshot=1, task_folders=[str(tmp_path / "tasks")])
    assert ask("mine", task_folders=[str(tmp_path / "tasks")])


def test_the_number_of_examples_in_a_yaml_is_not_passed_over(ask, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "task: mine\nnum_fewshot: 2\nmetadata: {based_on: arc_easy}\n"
    )
    examples = documents.write(tmp_path / "examples.jsonl", documents.ARC[:2])
    data = json_data(tmp_path / "docs.jsonl", documents.ARC[2:]) | {"fewshot_file": examples}
    folders = [str(tmp_path)]
    for number in (0, 1):
        with pytest.raises(
            UserError, match=f"mine: its YAML says num_fewshot 2 and the config {number}"
        ):
            ask("mine", data=data, num_fewshot=number, task_folders=folders)
    rows = ask("mine", data=data, num_fewshot=2, task_folders=folders)
    assert rows[0]["context"].count("Question:") == 3


def test_what_is_odd_is_a_warning(ask, tmp_path, capsys):
    docs = [arc(f"Is {n} odd?", ["yes", "no"], "AB", "A") for n in range(3)]
    docs += [arc("Is it?", ["yes", "yes"], "AB", "A")]
    examples = documents.write(tmp_path / "examples.jsonl", docs[1:3])
    data = json_data(tmp_path / "docs.jsonl", docs) | {"fewshot_file": examples}
    for name in ("arc_easy", "arc_easy_choice"):
        ask(name, data=data, num_fewshot=1)
        assert [line for line in capsys.readouterr().out.splitlines() if "warning" in line] == [
            f"warning: {name}: 1 of 4 questions have options with the same text, "
            f"{name}/000003 first",
            f"warning: {name}: 2 of 4 questions are among the worked examples as well, "
            f"{name}/000001 first",
        ]
