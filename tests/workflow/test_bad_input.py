"""Broken questions, task YAMLs and checkpoints, made of good ones by mutation: each is one clear
error, and nothing is half-written."""

import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from alignment_calibration.errors import UserError
from alignment_calibration.inputs import templates
from alignment_calibration.inputs.checkpoints import resolve
from alignment_calibration.inputs.questions import write_questions

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "data" / "demo" / "models" / "base"
SPEC = {"trust_remote_code": False, "gpus": 1}

TASK = """\
task: good
dataset_path: json
dataset_kwargs: {data_files: {test: FILE}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}"
doc_to_choice: options
doc_to_target: gold
metadata: {version: 1.0}
"""
LETTERS = """\
task: good_choice
metadata:
  based_on: good
  letters: {question: question, options: options}
"""

DOCUMENTS = [
    {
        "question": f"What is {n}?",
        "options": [f"one {n}", f"two {n}", f"three {n}"],
        "gold": n % 3,
        "source_choice": [2, 0, 1],
    }
    for n in range(5)
]


def ask(folder: Path, name: str = "good", letters: str = "{{ question }}", **spec: Any) -> None:
    """Make the questions of the task YAMLs in a folder."""
    write_questions(
        [name],
        **{"limit": None, "num_fewshot": 0, "letters": letters, "data": None,
           "task_folders": [str(folder)], **spec},
        own_tasks=ROOT / "workflow" / "tasks",
        where="tasks.good.continuation",
        output=folder / "out" / "questions.parquet",
    )  # fmt: skip


def write_task(folder: Path, lines: list[str] | None = None) -> None:
    """A good task, or one with these lines for data."""
    file = folder / "questions.jsonl"
    file.write_text("\n".join(lines or map(json.dumps, DOCUMENTS)) + "\n", encoding="utf-8")
    (folder / "good.yaml").write_text(TASK.replace("FILE", str(file)), encoding="utf-8")
    (folder / "good_choice.yaml").write_text(LETTERS, encoding="utf-8")


def refused(action: Callable[[], object], output: Path) -> str:
    """The error of an action, which leaves nothing behind."""
    with pytest.raises(UserError) as caught:
        action()
    message = str(caught.value)
    assert 1 <= len(message.splitlines()) <= 3, message
    assert len(message) < 1000, message
    if output.parent.exists():
        assert list(output.parent.iterdir()) == []
    return message


def test_the_good_task_is_good(tmp_path: Path) -> None:
    write_task(tmp_path)
    ask(tmp_path)
    ask(
        tmp_path,
        "good_choice",
        letters="{% for o in options %}{{ letters[loop.index0] }}{% endfor %}",
    )


BROKEN_DOCUMENTS: dict[str, Any] = {
    "gold too large": {"gold": 3},
    "gold negative": {"gold": -1},
    "gold missing": {"gold": None},
    "gold a list": {"gold": [0]},
    "gold a text": {"gold": "no option"},
    "gold absurd": {"gold": 10**12},
    "an empty option": {"options": ["a", "", "c"]},
    "a blank option": {"options": ["a", " \n", "c"]},
    "one option": {"options": ["a"], "gold": 0},
    "no option": {"options": [], "gold": 0},
    "options missing": {"options": None},
    "question null": {"question": None},
    "an option null": {"options": ["a", None, "c"]},
    "source_choice of another length": {"source_choice": [0, 1]},
    "source_choice twice": {"source_choice": [0, 0, 1]},
    "source_choice out of range": {"source_choice": [1, 2, 3]},
}
#: What a data file can only hold for all of its questions alike.
BROKEN_COLUMNS: dict[str, Any] = {
    "gold a truth value": {"gold": True},
    "nested options": {"options": [["a", "b"], ["c"], ["d"]]},
    "options that are numbers": {"options": [1, 2, 3]},
    "options that are truth values": {"options": [True, False, True]},
    "source_choice a number": {"source_choice": 0},
    "source_choice texts": {"source_choice": ["0", "1", "2"]},
    "a question that is a list": {"question": ["a", "b"]},
}


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("name", BROKEN_DOCUMENTS)
def test_broken_questions(tmp_path: Path, name: str, place: str) -> None:
    documents = [dict(document) for document in DOCUMENTS]
    documents[0 if place == "first" else -1] |= BROKEN_DOCUMENTS[name]
    write_task(tmp_path, [json.dumps(document) for document in documents])
    message = refused(lambda: ask(tmp_path), tmp_path / "out" / "questions.parquet")
    assert "tasks.good.continuation" in message
    assert f"question good/00000{0 if place == 'first' else 4}: " in message, message


@pytest.mark.parametrize("name", BROKEN_COLUMNS)
def test_broken_columns(tmp_path: Path, name: str) -> None:
    """The context is a column here: a template would make a text of a list."""
    write_task(tmp_path, [json.dumps(document | BROKEN_COLUMNS[name]) for document in DOCUMENTS])
    file = tmp_path / "good.yaml"
    file.write_text(file.read_text().replace('"Question: {{question}}"', "question"))
    message = refused(lambda: ask(tmp_path), tmp_path / "out" / "questions.parquet")
    assert "question good/000000: " in message, message


BROKEN_DATA: dict[str, list[str]] = {
    "no JSON": ["{question: 1"],
    "cut short": [json.dumps(DOCUMENTS[0]), json.dumps(DOCUMENTS[1])[:-10]],
    "another column": [json.dumps({"query": "?", "options": ["a", "b"], "gold": 0})],
    "numbers": ["1", "2"],
    "mixed types": [json.dumps(DOCUMENTS[0]), json.dumps({**DOCUMENTS[1], "options": "abc"})],
    "nothing": [""],
    "control characters": ["\x00\x01\x02"],
}


@pytest.mark.parametrize("name", BROKEN_DATA)
def test_broken_data_files(tmp_path: Path, name: str) -> None:
    write_task(tmp_path, BROKEN_DATA[name])
    message = refused(lambda: ask(tmp_path), tmp_path / "out" / "questions.parquet")
    assert message.startswith("tasks.good.continuation: ")


BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(9))}}}\n" for n in range(1, 30)
)
BROKEN_TASKS: dict[str, Callable[[str], str]] = {
    "no YAML": lambda text: text + "\n  - [",
    "empty": lambda text: "",
    "a list": lambda text: "- task",
    "a text": lambda text: "good",
    "no data": lambda text: text.replace("dataset_path: json", ""),
    "missing file": lambda text: text.replace("questions.jsonl", "nothing.jsonl"),
    "unknown split": lambda text: text.replace("test_split: test", "test_split: exam"),
    "no split": lambda text: text.replace("test_split: test", ""),
    "generation": lambda text: text.replace("multiple_choice", "generate_until"),
    "unknown output": lambda text: text.replace("multiple_choice", "magic"),
    "unknown column": lambda text: text.replace("doc_to_choice: options", "doc_to_choice: answers"),
    "Jinja cut short": lambda text: text.replace("{{question}}", "{{question"),
    "Jinja of nothing": lambda text: text.replace("{{question}}", "{{nothing.at.all}}"),
    "unknown filter": lambda text: text.replace("{{question}}", "{{question | explode}}"),
    "unknown key": lambda text: text + "unheard_of: 1\n",
    "a missing include": lambda text: text + "include: nothing.yaml\n",
    "an include of itself": lambda text: text + "include: good.yaml\n",
    "an include of a number": lambda text: text + "include: 3\n",
    "metadata a text": lambda text: text.replace("metadata: {version: 1.0}", "metadata: text"),
    "metadata a list": lambda text: text.replace("metadata: {version: 1.0}", "metadata: [1]"),
    "based on itself": lambda text: text.replace("{version: 1.0}", "{based_on: good}"),
    "based on nothing": lambda text: text.replace("{version: 1.0}", "{based_on: nothing}"),
    "data files a number": lambda text: text.replace("{data_files: {test:", "{data_files: 3} #"),
    "a name that is a number": lambda text: text.replace("task: good", "task: 3"),
    "a group of itself": lambda text: "group: good\ntask: [good]\n",
    "a group of nothing": lambda text: "group: good\ntask: []\n",
    "a group of unknowns": lambda text: "group: good\ntask: [nothing]\n",
    "a group of numbers": lambda text: "group: good\ntask: [1, 2]\n",
    "code": lambda text: text.replace(
        "doc_to_choice: options", "doc_to_choice: !function evil.run"
    ),
    "code elsewhere": lambda text: text + "class: !function ../../evil.run\n",
    "code as a key": lambda text: text + "metadata: {? !function evil.run : 1}\n",
    "code as a key, at the top": lambda text: text + "? !function evil.run\n: 1\n",
    "code in a set": lambda text: text + "tag: !!set {? !function evil.run}\n",
    "code in pairs": lambda text: text + "tag: !!pairs [a: !function evil.run]\n",
    "code in an ordered mapping": lambda text: text + "tag: !!omap [a: !function evil.run]\n",
    "code as the top level": lambda text: "!function evil.run",
    "code at an absolute path": lambda text: text + "process_docs: !function FOLDER/evil.run\n",
    "code as a class": lambda text: text + "class: evil.run\n",
    "code as a document filter": lambda text: text + "process_docs: evil.run\n",
    "a prompt of another file": lambda text: text + "use_prompt: FOLDER/evil.yaml:x\n",
    "a cache elsewhere": lambda text: text.replace(
        "{data_files: {test:", "{cache_dir: FOLDER/pwned, data_files: {test:"
    ),
    "a name that is a path": lambda text: text.replace("task: good", "task: FOLDER/precious"),
    "a name that goes up": lambda text: text.replace("task: good", "task: ../precious"),
    "a name with a control character": lambda text: text.replace("task: good", 'task: "go\\aod"'),
    "an octal number": lambda text: text.replace("doc_to_target: gold", "doc_to_target: 010"),
    "a key twice": lambda text: text + "doc_to_text: again\n",
    "a pipe as an include": lambda text: text + "include: pipe\n",
    "a device as an include": lambda text: text + "include: /dev/zero\n",
    "a folder as an include": lambda text: text + "include: .\n",
    "an endless list": lambda text: text + "metadata: &a [*a]\n",
    "3,000 nested lists": lambda text: text + "tag: " + 3000 * "[" + 3000 * "]" + "\n",
    "50 MB": lambda text: text + f"description: {50_000_000 * 'x'}\n",
    "a bomb": lambda text: text + BOMB,
    "a column that is not there": lambda text: text.replace('"Question: {{question}}"', "qeustion"),
    "examples among the questions": lambda text: text + "num_fewshot: 2\n",
    "a Python object": lambda text: text + "x: !!python/object/apply:os.system [touch pwned]\n",
    "Jinja that runs code": lambda text: text.replace(
        "{{question}}", "{{ cycler.__init__.__globals__.os.system('touch pwned') }}"
    ),
}


@pytest.mark.parametrize("name", BROKEN_TASKS)
def test_broken_task_yamls(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path)
    (tmp_path / "evil.py").write_text("open('pwned', 'w')\ndef run(*_): open('pwned', 'w')\n")
    file = tmp_path / "good.yaml"
    (tmp_path / "evil.yaml").write_text("prompts: {x: {doc_to_text: evil}}\n")
    (tmp_path / "precious.yaml").write_text("precious\n")
    os.mkfifo(tmp_path / "pipe")
    text = BROKEN_TASKS[name](file.read_text(encoding="utf-8")).replace("FOLDER", str(tmp_path))
    file.write_text(text, encoding="utf-8")
    message = refused(lambda: ask(tmp_path), tmp_path / "out" / "questions.parquet")
    assert message.startswith("tasks.good.continuation: ")
    assert not (tmp_path / "pwned").exists()
    assert (tmp_path / "precious.yaml").read_text() == "precious\n"


@pytest.mark.parametrize(
    "scoring",
    [
        {"metric_list": [{"metric": "FOLDER/evil.py"}]},
        {"metric_list": [{"metric": "FOLDER/evil.py", "hf_evaluate": True}]},
        {"metric_list": [{"metric": "acc", "aggregation": "FOLDER/evil.py"}]},
        {"process_results": "evil.run"},
        {"filter_list": [{"name": "x", "filter": [{"function": "FOLDER/evil.py"}]}]},
        {"should_decontaminate": True, "doc_to_decontamination_query": "{{ 1 / 0 }}"},
    ],
)
def test_what_only_scoring_reads_is_dropped(
    tmp_path: Path, scoring: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metric can be a file of code, which lm-eval would run when it builds the task."""
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path)
    (tmp_path / "evil.py").write_text("open('pwned', 'w')\ndef run(*_): open('pwned', 'w')\n")
    file = tmp_path / "good.yaml"
    task = yaml.safe_load(file.read_text()) | scoring
    file.write_text(yaml.safe_dump(task).replace("FOLDER", str(tmp_path)))
    ask(tmp_path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ question",
        "{% for o in options %}",
        "{{ nothing }}",
        "{% endmacro %}{{ question }}",
        "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% endmacro %}{{ lipsum.__globals__.os.system('touch pwned') }}{% macro x() %}",
        "{% include '/etc/passwd' %}",
        "{% for i in range(1000000000) %}{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ none }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ ('a' * 40 + 'b') | regex_replace('(a+)+$', '') }}",
        "{{ 'x' * 20000000000 }}",
        "{{ question | center(20000000000) }}",
        "{% for i in range(99999) %}{{ 'x' * 99 }}{% endfor %}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ [0] * 20000000000 }}",
    ],
)
def test_broken_letters_templates(
    tmp_path: Path, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(templates, "SECONDS", 0.5)
    write_task(tmp_path)
    output = tmp_path / "out" / "questions.parquet"
    refused(lambda: ask(tmp_path, "good_choice", letters=template), output)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "godo"},
        {"name": "../good"},
        {"name": "$(touch pwned)"},
        {"name": "good\n"},
        {"task_folders": ["nowhere"]},
        {"data": {"format": "json", "file": "nowhere.jsonl"}},
        {"data": {"format": "parquet", "file": "good.yaml"}},
        {"data": {"format": "json", "file": "."}},
    ],
)
def test_broken_references(
    tmp_path: Path, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_task(tmp_path)
    refused(lambda: ask(tmp_path, **spec), tmp_path / "out" / "questions.parquet")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def edited(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
        value = change(value) or value
        (folder / name).write_text(json.dumps(value), encoding="utf-8")

    return edit


def replaced(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def cut(name: str, seed: int) -> Callable[[Path], None]:
    def shorten(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: random.Random(seed).randrange(len(content))])

    return shorten


def damaged_header(seed: int) -> Callable[[Path], None]:
    """Another length of the safetensors header, or bytes of it, so that it cannot fit."""

    def damage(folder: Path) -> None:
        file = folder / "model.safetensors"
        content = bytearray(file.read_bytes())
        (length,) = struct.unpack("<Q", content[:8])
        draw = random.Random(seed)
        if seed % 2:
            content[:8] = struct.pack("<Q", draw.choice([0, 1, length - 1, 2**40, 2**63]))
        else:
            content[8 + draw.randrange(length // 2)] = 0xFF
        file.write_bytes(content)

    return damage


def sharded(index: Any) -> Callable[[Path], None]:
    def shard(folder: Path) -> None:
        (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
        text = index if isinstance(index, str) else json.dumps(index)
        (folder / "model.safetensors.index.json").write_text(text, encoding="utf-8")

    return shard


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


BROKEN_CHECKPOINTS: dict[str, Callable[[Path], None]] = {
    "no config": without("config.json"),
    "no tokenizer": without("tokenizer.json"),
    "no weights": without("model.safetensors"),
    "nothing": without(*(file.name for file in CHECKPOINT.iterdir())),
    "an adapter": adapter,
    "an adapter beside the weights": replaced("adapter_config.json", b"{}"),
    "weights of another name": edited(
        "config.json", lambda c: c.update(transformers_weights="other.safetensors")
    ),
    "only pickled weights": pickled,
    "config is no JSON": replaced("config.json", b"{"),
    "config is a list": replaced("config.json", b"[]"),
    "config is empty": replaced("config.json", b""),
    "config is binary": replaced("config.json", b"\xff\xfe\x00"),
    "weights of zero bytes": replaced("model.safetensors", b""),
    "weights are a web page": replaced("model.safetensors", b"<!DOCTYPE html><html></html>"),
    "weights are a pointer": replaced(
        "model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    ),
    "shards missing": sharded({"weight_map": {"a": "model-00002-of-00002.safetensors"}}),
    "shards elsewhere": sharded({"weight_map": {"a": "../checkpoint/model.safetensors"}}),
    "shards anywhere": sharded({"weight_map": {"a": str(CHECKPOINT / "model.safetensors")}}),
    "no shards": sharded({"weight_map": {}}),
    "no list of shards": sharded({"weights": {}}),
    "index is no JSON": sharded("{"),
    "index is a list": sharded([]),
    "shards are numbers": sharded({"weight_map": {"a": 3}}),
    "shards are lists": sharded({"weight_map": {"a": []}}),
    **{f"weights cut short ({seed})": cut("model.safetensors", seed) for seed in range(8)},
    **{f"a damaged header ({seed})": damaged_header(seed) for seed in range(8)},
}


@pytest.mark.parametrize("name", BROKEN_CHECKPOINTS)
def test_broken_checkpoints(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    BROKEN_CHECKPOINTS[name](folder)
    output = tmp_path / "out" / "broken.json"
    spec = {**SPEC, "path": str(folder)}
    message = refused(lambda: resolve("broken", spec, tmp_path / "converted", output), output)
    assert message.startswith("models.broken")


# Sound files that do not make a model: found when it is loaded, before anything is scored.
UNLOADABLE: dict[str, Callable[[Path], None]] = {
    "an unknown architecture": edited(
        "config.json", lambda c: c.update(model_type="nothing", architectures=["Nothing"])
    ),
    "no model type": edited("config.json", lambda c: [c.pop("model_type"), c][1]),
    "another width": edited("config.json", lambda c: c.update(hidden_size=2 * c["hidden_size"])),
    "more layers": edited(
        "config.json", lambda c: c.update(num_hidden_layers=c["num_hidden_layers"] + 1)
    ),
    "fewer layers": edited(
        "config.json", lambda c: c.update(num_hidden_layers=c["num_hidden_layers"] - 1)
    ),
    "a token without embedding": edited(
        "tokenizer.json",
        lambda t: t["added_tokens"].append(
            {**t["added_tokens"][0], "content": "<new>", "id": 10_000}
        ),
    ),
    "another vocabulary": edited("config.json", lambda c: c.update(vocab_size=17)),
    "heads that do not fit": edited("config.json", lambda c: c.update(num_attention_heads=7)),
    "a negative width": edited("config.json", lambda c: c.update(hidden_size=-1)),
    "a width in words": edited("config.json", lambda c: c.update(hidden_size="wide")),
    "an unknown activation": edited("config.json", lambda c: c.update(hidden_act="magic")),
    "code of its own": edited(
        "config.json",
        lambda c: c.update(
            model_type="odd", auto_map={"AutoConfig": "evil.C", "AutoModelForCausalLM": "evil.M"}
        ),
    ),
    "tokenizer is no JSON": replaced("tokenizer.json", b"{"),
    "tokenizer is empty": replaced("tokenizer.json", b""),
    "tokenizer is a list": replaced("tokenizer.json", b"[]"),
    "tokenizer without model": edited("tokenizer.json", lambda t: [t.pop("model"), t][1]),
    "tokenizer settings no JSON": replaced("tokenizer_config.json", b"{"),
}


@pytest.mark.parametrize("name", UNLOADABLE)
def test_unloadable_checkpoints(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from alignment_calibration.scoring.load import load_checkpoint

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoint"
    shutil.copytree(CHECKPOINT, folder)
    (folder / "evil.py").write_text("open('pwned', 'w')\n", encoding="utf-8")
    UNLOADABLE[name](folder)
    message = refused(
        lambda: load_checkpoint(folder, "float32", torch.device("cpu")),
        tmp_path / "none" / "x",
    )
    assert str(folder) in message
    assert not (tmp_path / "pwned").exists()


def test_the_corpus_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    questions = 2 * len(BROKEN_DOCUMENTS) + len(BROKEN_DATA) + len(BROKEN_TASKS)
    checkpoints = len(BROKEN_CHECKPOINTS) + len(UNLOADABLE)
    with capsys.disabled():
        print(f"\n{questions} broken questions and tasks, {checkpoints} broken checkpoints")
    assert questions + checkpoints >= 100
