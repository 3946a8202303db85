"""Chats equal what lm-eval asks under `--apply_chat_template`; templates that are no use are found
out before anything is scored."""

import json
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.errors import UserError
from alignment_calibration.files.atomic import read_json, write_json
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.files.parquet import read_digest, read_identity, read_parquet
from alignment_calibration.inputs.chats import in_words, resolve_template
from alignment_calibration.inputs.checkpoints import resolve
from alignment_calibration.inputs.library import Library
from alignment_calibration.inputs.lm_eval_task import build
from alignment_calibration.inputs.questions import write_questions
from alignment_calibration.scoring.contexts import put_in_words
from alignment_calibration.scoring.tokenization import encode
from alignment_calibration.study.chats import CHATS, chat_of
from alignment_calibration.study.letters import TEMPLATES
from tests.support import documents
from tests.support.study import CHECKPOINTS, ROOT, demo_config

OWN_TASKS = ROOT / "workflow" / "tasks"
SMOLLM2 = Path(__file__).parent / "chat_templates" / "smollm2.jinja"
QUESTIONS_OF = ROOT / "data" / "demo" / "questions"
SYSTEM = "You are brief."

#: Of each demo task a prompt and the file of its questions; two prompts of the first.
ASKED = [
    (task, task.removeprefix("demo_").removesuffix("_choice"))
    for spec in demo_config()["tasks"].values()
    for task in (spec["continuation"], spec["choice"])
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CHECKPOINTS["aligned"])


def theirs(tokenizer: Any, template: str) -> Callable[..., str]:
    """lm-eval's own way from a chat to text, with a template."""
    tokenizer.chat_template = template
    model = SimpleNamespace(tokenizer=tokenizer, chat_template_args={})

    def apply(chat: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        text: str = HFLM.apply_chat_template(model, chat, add_generation_prompt)
        return text

    return apply


def settings(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return {"num_fewshot": 0, "letters": TEMPLATES["block"], "data": None, **changes}


def asked_by_us(
    name: str, tmp_path: Path, tokenizer: Any, template: str, chat: str, system: str, **more: Any
) -> list[tuple[str, str]]:
    """Contexts and options of a task in its file of chats, put in words."""
    text, output = tmp_path / "asked.parquet", tmp_path / f"asked.{chat}.parquet"
    folders = more.pop("task_folders", [])
    shared: dict[str, Any] = {
        "limit": 12,
        "task_folders": folders,
        "own_tasks": OWN_TASKS,
        "where": "tasks.t.c",
    }
    write_questions([name], **shared, **settings(tmp_path, **more), output=text)
    write_questions(
        [name], **shared, **settings(tmp_path, **more), output=output, chat=chat, as_text=text
    )
    assert read_identity(output) == {"questions_sha256": read_digest(text)}
    model = {
        "spec": {"chat_template": {"system": system} if system else True},
        "chat_template": template,
        "path": "there",
    }
    table = put_in_words(str(output), read_parquet(output, QUESTIONS), tokenizer, model)
    return list(zip(table["context"].to_pylist(), table["continuation"].to_pylist(), strict=True))


def asked_by_lm_eval(
    name: str, tmp_path: Path, tokenizer: Any, template: str, chat: str, system: str, **more: Any
) -> list[tuple[str, str]]:
    library = Library(OWN_TASKS, more.pop("task_folders", []))
    (definition,) = library.definitions([name])
    task = build(library, definition, scratch=tmp_path, **settings(tmp_path, **more))
    task.build_all_requests(
        limit=12,
        system_instruction=system or None,
        apply_chat_template=True,
        fewshot_as_multiturn=CHATS[chat],
        chat_template=theirs(tokenizer, template),
    )
    return [instance.args for instance in task.instances]


@pytest.mark.parametrize("template", ["demo", "smollm2"])
@pytest.mark.parametrize(("name", "subject"), ASKED)
def test_every_demo_task_is_asked_as_lm_eval_asks_it(
    name: str, subject: str, template: str, tokenizer: Any, tmp_path: Path
) -> None:
    source = CHECKPOINTS["aligned"] / "chat_template.jinja" if template == "demo" else SMOLLM2
    jinja = source.read_text(encoding="utf-8")
    lines = (QUESTIONS_OF / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines(True)
    (tmp_path / "asked.jsonl").write_text("".join(lines[:12]), encoding="utf-8")
    (tmp_path / "examples.jsonl").write_text("".join(lines[12:30]), encoding="utf-8")
    data = {
        "format": "json",
        "file": str(tmp_path / "asked.jsonl"),
        "fewshot_file": str(tmp_path / "examples.jsonl"),
    }
    examples: dict[str, Any] = {"num_fewshot": 3, "data": data}
    for chat, system, more in [
        ("chat", "", {}),
        ("chat", "", examples),
        ("chat_multiturn", SYSTEM, examples),
    ]:
        given = (name, tmp_path, tokenizer, jinja, chat, system)
        ours = asked_by_us(*given, **more)
        assert ours == asked_by_lm_eval(*given, **more)
        assert len(ours) >= 24


#: What a task's YAML can say that shows in a chat; `multiple_input` is a context for each option.
PECULIAR = {
    "description": {"description": "Questions about {{subject}}.\n\n"},
    "description_without_space": {"description": "Be quick.", "fewshot_delimiter": " // "},
    "gen_prefix": {"gen_prefix": "The answer is"},
    "gen_prefix_with_space": {"gen_prefix": "The answer: "},
    "delimiter": {"target_delimiter": "\n"},
    "multiple_input": {
        "doc_to_text": "gold",
        "doc_to_choice": "{{[options[0] + ' is it', options[1] + ' is it']}}",
        "doc_to_target": "says {{subject}}",
    },
}


@pytest.mark.parametrize("name", PECULIAR)
def test_what_a_task_says_of_its_own_is_asked_as_lm_eval_asks_it(
    name: str, tokenizer: Any, tmp_path: Path
) -> None:
    rows = [
        {"question": f"Which of {i}?", "options": [f"x{i}", f"y{i}"], "gold": i % 2, "subject": "s"}
        for i in range(30)
    ]
    data = {
        "format": "json",
        "file": documents.write(tmp_path / "asked.jsonl", rows[:12]),
        "fewshot_file": documents.write(tmp_path / "examples.jsonl", rows[12:]),
    }
    task = {
        "task": name,
        "dataset_path": "json",
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "options",
        "doc_to_target": "gold",
        **PECULIAR[name],
    }
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "peculiar.yaml").write_text(yaml.safe_dump(task))
    jinja = SMOLLM2.read_text(encoding="utf-8")
    # A template may refuse a system message; then lm-eval leaves it out.
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + jinja
    for template in (jinja, refusing):
        for chat, system, num_fewshot in [
            ("chat", "", 0),
            ("chat", SYSTEM, 2),
            ("chat_multiturn", SYSTEM, 2),
        ]:
            more: dict[str, Any] = {
                "num_fewshot": num_fewshot,
                "data": data,
                "task_folders": [str(tmp_path / "tasks")],
            }
            given = (name, tmp_path, tokenizer, template, chat, system)
            assert asked_by_us(*given, **more) == asked_by_lm_eval(*given, **more)


def chat(*messages: tuple[str, str]) -> str:
    return json.dumps(
        {
            "messages": [{"role": role, "content": text} for role, text in messages],
            "add_generation_prompt": True,
            "system_delimiter": "\n\n",
        }
    )


def test_the_day_is_always_the_same(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And but for the day, a template that prints it does as in lm-eval."""
    template = "\nToday: {{ strftime_now('%d %b %Y, %B %y') }}\n{{ messages[0].content }}"
    ours = in_words(chat(("user", "Which?")), tokenizer, template, "")
    assert ours == "\nToday: 26 Jul 2024, July 24\nWhich?"

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Clock":
            return cls(2024, 7, 26)

    monkeypatch.setattr(chat_template_utils, "datetime", Clock)
    chat_template_utils._compile_jinja_template.cache_clear()
    assert ours == theirs(tokenizer, template)([{"role": "user", "content": "Which?"}])


def test_no_chat_is_no_text(tokenizer: Any) -> None:
    assert in_words("", tokenizer, "{{ messages[0].content }}", SYSTEM) == ""


def test_a_token_that_begins_a_text_is_not_doubled(tokenizer: Any) -> None:
    """Where the tokenizer sets one and the template another: token ids are HFLM's."""
    begins = AutoTokenizer.from_pretrained(CHECKPOINTS["aligned"])
    bos = begins.bos_token
    begins._tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, begins.bos_token_id)]
    )
    template = "{{ bos_token }}" + SMOLLM2.read_text(encoding="utf-8")
    context = in_words(chat(("user", "The opposite of hot is")), begins, template, "")
    model = SimpleNamespace(
        tokenizer=begins,
        backend="causal",
        add_bos_token=None,
        prefix_token_id=begins.bos_token_id,
    )
    model.tok_encode = lambda text: HFLM.tok_encode(model, text)
    wanted = HFLM._encode_pair(model, context, "cold")
    (encoding,) = encode([(context, "cold")], begins, 512)
    ids = encoding.request
    assert (list(ids.context_ids), list(ids.continuation_ids)) == wanted
    assert ids.context_ids.count(begins.bos_token_id) == 1
    (plain,) = encode([("The opposite of hot is", " cold")], begins, 512)
    assert plain.request.context_ids.count(begins.bos_token_id) == 1


#: Templates that cannot be used, and what is said of each.
BROKEN = {
    "syntax": ("{% if %}", "TemplateSyntaxError"),
    "refuses": ("{{ raise_exception('not so') }}", "TemplateError: not so"),
    "unknown": ("{{ nothing.there }}", "UndefinedError"),
    "drops the question": ("{{ messages[0].role }}", "does not contain the question"),
    "escapes": ("{{ messages.__class__.__mro__ }}", "SecurityError"),
    "endless": (
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "more than 2 s",
    ),
    "memory": ("{{ ('x' * 9000000000) | length }}", "MemoryError"),
    "long": ("{{ messages[0].content }}{{ 'x' * 2000000 }}", "allowed: 1000000"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_template_that_cannot_be_used_is_one_line(name: str, tmp_path: Path) -> None:
    template, problem = BROKEN[name]
    (tmp_path / "t.jinja").write_text(template)
    spec = {"trust_remote_code": False, "chat_template": {"file": str(tmp_path / "t.jinja")}}
    with pytest.raises(UserError) as error:
        resolve_template("models.m", CHECKPOINTS["aligned"], spec)
    message = str(error.value)
    assert message.startswith("models.m.chat_template: the template cannot be used (")
    assert problem in message
    assert "\n" not in message


def test_a_template_that_fails_on_one_question_names_it(tokenizer: Any, tmp_path: Path) -> None:
    refuse = "{% if 'above' in messages[0].content %}{{ raise_exception('no') }}{% endif %}"
    template = refuse + "{{ messages[0].content }}"
    with pytest.raises(UserError, match=r"question demo_words/\d+: the chat template of there"):
        asked_by_us("demo_words", tmp_path, tokenizer, template, "chat", "")


@pytest.mark.parametrize(
    ("stage", "options", "problem"),
    [
        ("base", True, r"has no chat template .*name a Jinja file under"),
        ("aligned", {"file": "nowhere.jinja"}, r"chat_template.file: nowhere.jinja cannot be read"),
        ("aligned", {"system": SYSTEM, "file": "NOSYSTEM"}, r"\.system: the template has no place"),
    ],
)
def test_what_cannot_be_asked_by_a_template_is_one_line(
    stage: str, options: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("NOSYSTEM").write_text("{{ messages[-1].content }}")
    spec = {"trust_remote_code": False, "chat_template": options}
    with pytest.raises(UserError, match=problem) as error:
        resolve_template("models.m", CHECKPOINTS[stage], spec)
    assert "\n" not in str(error.value)


def test_a_checkpoint_shared_by_models_is_hashed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And each has the identity of its own template."""
    spec = {"path": str(CHECKPOINTS["aligned"]), "gpus": 1, "trust_remote_code": False}
    resolve("plain", spec, tmp_path / "c", tmp_path / "plain.json")
    monkeypatch.setattr("alignment_calibration.inputs.checkpoints.sha256", None)
    edited = tmp_path / "t.jinja"
    shutil.copy(CHECKPOINTS["aligned"] / "chat_template.jinja", edited)
    asked = {
        "own": True,
        "system": {"system": SYSTEM},
        "turns": {"fewshot_as_multiturn": True},
        "file": {"file": str(edited)},
        "edited": {"file": str(edited)},
    }
    digests = {}
    for slug, options in asked.items():
        if slug == "edited":
            edited.write_text(edited.read_text() + " ")
        output = tmp_path / f"{slug}.json"
        resolve(slug, spec | {"chat_template": options}, "", output, tmp_path / "plain.json")
        found, plain = read_json(output), read_json(tmp_path / "plain.json")
        assert {key: found[key] for key in ("path", "revision", "files")} == {
            key: plain[key] for key in ("path", "revision", "files")
        }
        digests[slug] = found["chat_template_sha256"]
    assert digests["own"] == digests["file"]
    assert len({digests[slug] for slug in ("own", "system", "turns", "edited")}) == 4
    assert chat_of(spec) is None
    assert [chat_of({"chat_template": o}) for o in (True, asked["turns"])] == list(CHATS)

    text, chats = tmp_path / "q.parquet", tmp_path / "q.chat.parquet"
    shared: dict[str, Any] = {
        "limit": 2,
        "task_folders": [],
        "own_tasks": OWN_TASKS,
        "where": "tasks.t.c",
    }
    write_questions(["demo_words"], **shared, **settings(tmp_path), output=text)
    write_questions(
        ["demo_words"], **shared, **settings(tmp_path), output=chats, chat="chat", as_text=text
    )
    before = expected_identity(tmp_path / "plain.json", text, {"dtype": "float32"})
    after = expected_identity(tmp_path / "own.json", chats, {"dtype": "float32"})
    assert before["questions_sha256"] == after["questions_sha256"] == read_digest(text)
    assert after["chats_sha256"] == read_digest(chats)
    assert after["chat_template_sha256"] == digests["own"]
    write_json(
        tmp_path / "own.json", read_json(tmp_path / "own.json") | {"chat_template_sha256": "0"}
    )
    assert expected_identity(tmp_path / "own.json", chats, {"dtype": "float32"}) != after
