"""Task YAMLs and question files, broken by chance: none is executed, none overwrites anything, and
each that is refused is refused in a few lines and soon.
"""

import copy
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.inputs import templates
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.study.letters import TEMPLATES
from tests.support.study import dumped

ROOT = Path(__file__).parents[2]
OWN = ROOT / "workflow" / "tasks"

#: FOLDER stands for the folder of the task.
TASK: dict[str, Any] = {
    "task": "good",
    "tag": ["mine"],
    "dataset_path": "json",
    "dataset_name": None,
    "dataset_kwargs": {"data_files": {"test": "FOLDER/q.jsonl", "train": "FOLDER/examples.jsonl"}},
    "training_split": "train",
    "test_split": "test",
    "output_type": "multiple_choice",
    "description": "Answer.\n",
    "doc_to_text": "Question: {{question}}\nAnswer:",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{gold}}",
    "target_delimiter": " ",
    "num_fewshot": 1,
    "fewshot_config": {"sampler": "first_n", "fewshot_delimiter": "\n\n"},
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0, "letters": {"question": "question", "options": "options"}},
}
DOCUMENTS = [
    {"question": f"{n}?", "options": [f"{n} a", f"{n} b"], "gold": n % 2, "source_choice": [1, 0]}
    for n in range(4)
]
ODD: list[Any] = [
    None, True, -1, 3.5, 10**12, "", " ", [], {}, [[]], {"a": {"b": 1}}, [None], "FOLDER/evil.py",
    "FOLDER/precious", "../precious", "evil.run", "{{", "{{ nothing }}", "{% for x in y %}",
    "{{ cycler.__init__.__globals__.os.system('touch FOLDER/pwned') }}", "{{ 1 / 0 }}", "\x00",
    "line\nbreak", "x" * 5000, "{{ 'x' * 99999999999 }}",
    [{"metric": "FOLDER/evil.py"}], [{"metric": "FOLDER/evil.py", "hf_evaluate": True}],
]  # fmt: skip
TAGS = [
    "!function evil.run", "!function FOLDER/evil.run", "!!python/object/apply:os.system ['x']",
    "!!python/name:evil.run", "!!set {? !function evil.run}", "!!pairs [a: !function evil.run]",
    "!!omap [a: !function evil.run]", "{? !function evil.run : 1}", "!include FOLDER/precious.yaml",
    "[!function evil.run]", "!!binary aGVsbG8=", "&a [*a]", "*nothing", "[" * 3000,
]  # fmt: skip

Case = tuple[str, str, str]  # what was done, the task's YAML, the lines of the questions


def lines_of(documents: list[Any]) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


GOOD = dumped(TASK), lines_of(DOCUMENTS)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all values below the top level."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(entry, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    made = copy.deepcopy(value)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return made


def odd_values(draw: random.Random) -> Iterator[Case]:
    for path in places(TASK):
        for value in draw.sample(ODD, 5):
            yield f"{path} = {value!r:.40}", dumped(changed(TASK, path, value)), GOOD[1]


def odd_tags(draw: random.Random) -> Iterator[Case]:
    """Something that is more than a value, in the place of a value."""
    for path in places(TASK):
        for tag in draw.sample(TAGS, 3):
            marked = dumped(changed(TASK, path, "MARK"))
            yield f"{path} = {tag:.40}", marked.replace("MARK", tag), GOOD[1]
    for tag in TAGS:
        yield f"a key {tag:.40}", f"{GOOD[0]}? {tag}\n: 1\n", GOOD[1]
        yield f"all {tag:.40}", tag, GOOD[1]


def odd_keys(draw: random.Random) -> Iterator[Case]:
    for key in ("class", "use_prompt", "process_docs", "custom_dataset", "doc_to_image", "include",
                "unsafe_code", "unheard_of", "__class__", "7"):  # fmt: skip
        for value in draw.sample(["evil.run", "FOLDER/evil.py", "FOLDER/pipe", "/dev/zero"], 2):
            yield f"{key}: {value}", dumped({**TASK, key: value}), GOOD[1]


def odd_texts(draw: random.Random) -> Iterator[Case]:
    text = GOOD[0]
    for _ in range(60):
        at = draw.randrange(len(text))
        kind = draw.choice(["cut", "lost", "doubled", "strange"])
        made = {
            "cut": text[:at],
            "lost": text[:at] + text[at + draw.randrange(1, 9) :],
            "doubled": text[:at] + text[at - draw.randrange(0, 40) :],
            "strange": text[:at] + draw.choice("\x07\t{[&*!'") + text[at:],
        }[kind]  # fmt: skip
        yield f"text {kind} at {at}", made, GOOD[1]


def odd_documents(draw: random.Random) -> Iterator[Case]:
    values: list[Any] = [None, True, -1, 2, 1.5, "", " ", "no option", [], [[]], {}, ["a"],
                         ["a", ""], ["a", None], [0, 1, 2], [1, 1], 10**20]  # fmt: skip
    for number in (0, len(DOCUMENTS) - 1):
        for key in DOCUMENTS[0]:
            for value in values:
                made = changed(DOCUMENTS, (number, key), value)
                yield f"document {number}: {key} = {value!r}", GOOD[0], lines_of(made)
    for key in DOCUMENTS[0]:
        for value in values:
            made = [{**document, key: value} for document in DOCUMENTS]
            yield f"all documents: {key} = {value!r}", GOOD[0], lines_of(made)
    for _ in range(30):
        lines = GOOD[1]
        at = draw.randrange(len(lines))
        made_lines = lines[:at] + draw.choice(["", "\x00", '"', "}", "\n", "[[["]) + lines[at + 1 :]
        yield f"lines changed at {at}", GOOD[0], made_lines


def corpus() -> list[Case]:
    draw = random.Random(20240900352)
    return [
        case
        for kind in (odd_values, odd_tags, odd_keys, odd_texts, odd_documents)
        for case in kind(draw)
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tasks with things in it that must stay as they are."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    for name in ("evil.py", "evil/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"open({str(folder / 'pwned')!r}, 'w')\nrun = print\n")
    (folder / "precious").write_text("precious")
    (tmp_path / "precious.yaml").write_text("precious: 1\n")
    (folder / "examples.jsonl").write_text(lines_of([{**DOCUMENTS[0], "question": "example"}]))
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(templates, "SECONDS", 0.5)
    return folder


def asked(folder: Path) -> None:
    """What the workflow does with a task: find what it depends on, and make its questions."""
    Library(OWN, [folder]).sources(["good"])
    write_questions(
        ["good"],
        limit=None,
        num_fewshot=1,
        letters=TEMPLATES["block"],
        data=None,
        task_folders=[str(folder)],
        own_tasks=OWN,
        where="tasks.good.choice",
        output=folder.parent / "out" / "questions.parquet",
    )


def contents(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, what the questions were made of and into aside."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
        and file.name not in ("good.yaml", "q.jsonl")
        and "__pycache__" not in file.parts
        and "out" not in file.parts
    }


def test_the_unbroken_task_is_asked(folder: Path) -> None:
    (folder / "good.yaml").write_text(GOOD[0].replace("FOLDER", str(folder)))
    (folder / "q.jsonl").write_text(GOOD[1])
    asked(folder)
    assert (folder.parent / "out" / "questions.parquet").is_file()


@pytest.mark.slow
def test_broken_tasks_and_questions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder.parent)
    refused, accepted = [], 0
    for name, task, questions in corpus():
        (folder / "good.yaml").write_text(task.replace("FOLDER", str(folder)))
        (folder / "q.jsonl").write_text(questions)
        start = time.process_time()
        try:
            asked(folder)
            accepted += 1
        except UserError as error:
            message = str(error)
            assert 1 <= len(message.splitlines()) <= 3, (name, message)
            assert len(message) < 1000, (name, message)
            refused.append(f"{name}: {message.replace(str(folder), 'FOLDER')}")
        assert time.process_time() - start < 10, name
        assert contents(folder.parent) == before, name
    with capsys.disabled():
        print(f"\n{len(refused)} broken tasks and questions refused, {accepted} harmless; such as")
        print("\n".join(f"  {message}" for message in refused[:: len(refused) // 12]))
    assert len(refused) >= 300
