"""The embedded demo study: its facts, questions, models and how they are trained."""

import hashlib
import json
import logging
import math
import random
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from scipy.stats import binomtest
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment_calibration.scoring.tokenization import encode
from alignment_calibration.scoring.tree import TreeScorer

DEMO = Path(__file__).parents[2] / "data" / "demo"
sys.path.insert(0, str(DEMO))

import corpus  # noqa: E402
import train  # noqa: E402

TASKS = ("geography", "physical", "science", "words")
BASES = ("base", "small-base")
STARTS = {
    name: stage.start
    for name, stage in train.STAGES.items()
    if not isinstance(stage, train.Pretraining)
}


class UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a mapping that names a key twice, which YAML would let pass."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, twice
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="module")
def facts() -> list[corpus.Fact]:
    return corpus.read_facts()


def read_questions(folder: Path, task: str) -> list[dict[str, Any]]:
    lines = (folder / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("path", sorted(corpus.FACTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_facts_are_well_formed(path: Path) -> None:
    content = yaml.load(path.read_text(encoding="utf-8"), UniqueKeyLoader)
    assert set(content) <= {"task", "questions", "statements", "facts", "similar", "mistaken"}
    assert content["task"] in TASKS
    assert len(set(content["questions"])) == len(set(content["statements"])) == corpus.WORDINGS
    for statement in content["statements"]:
        assert "{subject}" in statement
        assert statement.endswith(" {answer}.")
    for question in content["questions"]:
        assert "{subject}" in question
        assert question.endswith("?")
    for subject, answer in content["facts"].items():
        assert isinstance(subject, str)
        assert isinstance(answer, str)
        assert subject == subject.strip() != ""
        assert answer == answer.strip() != ""
    for subject, mistake in content.get("mistaken", {}).items():
        assert mistake != content["facts"][subject]
    for group in content.get("similar", []):
        assert set(group) <= set(content["facts"].values())


def test_facts_are_many_and_have_their_own_ids(facts: list[corpus.Fact]) -> None:
    assert len({fact.id for fact in facts}) == len(facts) > 900


@pytest.mark.parametrize("task", TASKS)
def test_questions_are_valid(task: str) -> None:
    questions = read_questions(DEMO / "questions", task)
    assert 150 <= len(questions) <= 300
    assert len({question["id"] for question in questions}) == len(questions)
    sizes = {"geography": {4}, "physical": {2}, "science": {3, 4, 5}, "words": {4}}[task]
    assert {len(question["options"]) for question in questions} == sizes
    for question in questions:
        assert set(question) == {"id", "question", "context", "options", "gold"}
        assert 0 <= question["gold"] < len(question["options"])
        assert len(set(question["options"])) == len(question["options"])
        for text in (question["question"], question["context"], *question["options"]):
            assert text == text.strip() != ""


@pytest.mark.parametrize("task", TASKS)
def test_the_right_option_stands_in_every_place_equally_often(task: str) -> None:
    questions = read_questions(DEMO / "questions", task)
    for size in {len(question["options"]) for question in questions}:
        places = Counter(q["gold"] for q in questions if len(q["options"]) == size)
        assert len(places) == size
        assert max(places.values()) - min(places.values()) <= 1


@pytest.mark.parametrize("task", TASKS)
def test_gold_is_the_fact_and_no_other_option_is(task: str) -> None:
    relations = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in corpus.FACTS.glob("*.yaml")
    }
    for question in read_questions(DEMO / "questions", task):
        content = relations[question["id"].split("/")[0]]
        ((subject, answer),) = (
            (subject, answer)
            for subject, answer in content["facts"].items()
            if subject.replace(" ", "-").lower() == question["id"].split("/")[1]
        )
        assert question["options"][question["gold"]] == answer
        mistake = content.get("mistaken", {}).get(subject)
        drawn = set(question["options"]) - {answer, mistake}
        for group in content.get("similar", []):
            assert answer not in group or not drawn & set(group)


def test_no_evaluation_question_or_context_is_in_the_training_texts(
    facts: list[corpus.Fact],
) -> None:
    source = corpus.Corpus(facts, seed=7)
    texts = []
    for _ in range(4000):
        preference = source.preference()
        drawn = (source.prose(), source.open(), source.lettered(), preference.chosen)
        texts += [text.prompt + text.completion for text in drawn]
    whole = "\n".join(texts)
    for task in TASKS:
        for question in read_questions(DEMO / "questions", task):
            assert question["question"] not in whole
            assert question["context"] not in whole
    # The check can fail: the wordings that are not reserved are there.
    commonest = max(facts, key=lambda fact: fact.weight)
    other = (commonest.reserved + 1) % corpus.WORDINGS
    assert commonest.question(other) in whole
    assert commonest.statement(other) in whole


def test_lettered_texts_have_two_to_five_options_and_point_at_the_answer(
    facts: list[corpus.Fact],
) -> None:
    source = corpus.Corpus([fact for fact in facts if fact.mistake is None], seed=3)
    questions = {
        fact.question(wording): fact.answer for fact in facts for wording in range(corpus.WORDINGS)
    }
    sizes = set()
    for _ in range(500):
        text = source.lettered()
        lines = text.prompt.split("\n")
        options = dict(line.split(") ", 1) for line in lines[4:-1])
        assert lines[:2] == [
            "Return the label of the correct answer for the question below.",
            "",
        ]
        assert lines[3] == "Choices:"
        assert lines[-1] == "Answer:"
        assert text.completion[0] == " "
        asked = questions[lines[2].removeprefix("Question: ")]
        assert options[text.completion[1:]] == asked
        assert len(set(options.values())) == len(options)
        sizes.add("".join(options))
    assert sizes == {"AB", "ABC", "ABCD", "ABCDE"}


def test_familiar_facts_are_said_more_often() -> None:
    relation = corpus.Relation(
        "r", "words", ("{subject}?",) * 3, ("{subject}: {answer}.",) * 3, {}, {}, ()
    )
    facts = [corpus.Fact(f"r/{w}", relation, f"<{w}>", "x", w) for w in (1.0, 0.25)]
    source = corpus.Corpus(facts, seed=0)
    said = Counter(source.statement().split(":")[0] for _ in range(5000))
    assert said["<1.0>"] / 5000 == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 5000))


def test_questions_are_those_that_the_facts_give(facts: list[corpus.Fact], tmp_path: Path) -> None:
    corpus.write_questions(facts, tmp_path, seed=0)
    for task in TASKS:
        shipped = DEMO / "questions" / f"{task}.jsonl"
        assert (tmp_path / f"{task}.jsonl").read_bytes() == shipped.read_bytes()


def test_models_are_small_safetensors_in_half_precision() -> None:
    files = [path for path in (DEMO / "models").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 16_000_000
    assert not any(path.is_symlink() for path in files)
    assert {path.suffix for path in files} == {".json", ".safetensors", ".jinja"}
    assert {folder.name for folder in (DEMO / "models").iterdir()} == set(train.STAGES)
    for name in train.STAGES:
        weights = load_file(DEMO / "models" / name / "model.safetensors")
        assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
        assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_the_smaller_base_has_less_than_half_the_parameters() -> None:
    large, small = (
        sum(w.numel() for w in load_file(DEMO / "models" / name / "model.safetensors").values())
        for name in BASES
    )
    assert small < large / 2


def test_models_load_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in train.STAGES:
            AutoTokenizer.from_pretrained(DEMO / "models" / name)
            AutoModelForCausalLM.from_pretrained(DEMO / "models" / name)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("name", "start"), STARTS.items())
def test_a_tuned_model_descends_from_the_one_it_starts_from(name: str, start: str) -> None:
    folders = [DEMO / "models" / stage for stage in (start, name)]
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        before, after = ((folder / file).read_bytes() for folder in folders)
        assert before == after
    before, after = (load_file(folder / "model.safetensors") for folder in folders)
    assert {n: w.shape for n, w in before.items()} == {n: w.shape for n, w in after.items()}
    assert any(not torch.equal(before[n], after[n]) for n in before)
    # A descendant, not a stranger: its weights point where those of its start do.
    one, other = (torch.cat([w[n].flatten().float() for n in sorted(w)]) for w in (before, after))
    assert torch.cosine_similarity(one, other, dim=0) > 0.9


@pytest.mark.parametrize("name", STARTS)
def test_chat_template_renders_a_conversation(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "models" / name)
    chat = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Question: What is the capital of France?\nAnswer:"},
        {"role": "assistant", "content": "Paris"},
        {"role": "user", "content": "The capital of Japan is"},
    ]
    asked = (
        "<|system|>\nBe brief.\n"
        "<|user|>\nQuestion: What is the capital of France?\nAnswer:\n"
        "<|assistant|> Paris<|endoftext|>\n"
        "<|user|>\nThe capital of Japan is\n"
    )
    assert tokenizer.apply_chat_template(chat, tokenize=False) == asked
    prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert prompt == asked + "<|assistant|> "


@pytest.mark.parametrize("name", BASES)
def test_a_base_model_has_no_chat_template(name: str) -> None:
    assert AutoTokenizer.from_pretrained(DEMO / "models" / name).chat_template is None


def test_an_answer_is_the_same_tokens_with_the_template_and_without_it() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "models" / "aligned")
    for answer in ("Paris", "A", "New Delhi"):
        question = "Question: Which?\nAnswer:"
        plain, chat = encode(
            [(question, f" {answer}"), (in_chat(tokenizer, question), answer)], tokenizer, 512
        )
        assert chat.request.continuation_ids == plain.request.continuation_ids


def in_chat(tokenizer, context: str) -> str:
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": context}], tokenize=False, add_generation_prompt=True
    )
    return text


# As lm-eval asks in a chat: the template is all there is between context and option.
ASKED = [(name, False) for name in train.STAGES] + [(name, True) for name in STARTS]


@pytest.mark.parametrize(("name", "chat"), ASKED)
def test_models_beat_chance_and_leave_something_unknown(name: str, chat: bool) -> None:
    """On every third question, so that it takes seconds; the interval is the wider for it."""
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "models" / name)
    model = AutoModelForCausalLM.from_pretrained(DEMO / "models" / name, dtype=torch.float32)
    scorer = TreeScorer(model.eval(), torch.device("cpu"), token_budget=4096)
    for task in TASKS:
        questions = read_questions(DEMO / "questions", task)[::3]
        chance = sum(1 / len(question["options"]) for question in questions) / len(questions)
        for lettered in (False, True):
            pairs = []
            for question in questions:
                context, options = question["context"], question["options"]
                if lettered:
                    context = corpus.letters_prompt(question["question"], options)
                    options = corpus.LETTERS[: len(options)]
                if chat:
                    pairs += [(in_chat(tokenizer, context), option) for option in options]
                else:
                    pairs += [(context, f" {option}") for option in options]
            requests = [encoding.request for encoding in encode(pairs, tokenizer, 512)]
            sums = iter(v.sum() for v in scorer.score(requests, progress=lambda done: None))
            right = sum(
                int(np.argmax([next(sums) for _ in question["options"]])) == question["gold"]
                for question in questions
            )
            interval = binomtest(right, len(questions)).proportion_ci(method="wilson")
            assert interval.low > chance, (task, lettered)
            assert right / len(questions) < 0.97, (task, lettered)


def test_a_letter_is_one_token() -> None:
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "models" / "base")
    for letter in corpus.LETTERS:
        assert len(tokenizer.encode(f"Answer: {letter}")) == len(tokenizer.encode("Answer:")) + 1


def test_dpo_loss_by_hand() -> None:
    # Margins (-1 - -2) - (-3 - -2) = 2 and (-1 - -1) - (-2 - -2) = 0 with beta 0.5:
    # the mean of -ln(1 / (1 + e^-1)) and -ln(1 / 2).
    loss = train.dpo_loss(
        chosen=torch.tensor([-1.0, -1.0]),
        rejected=torch.tensor([-3.0, -2.0]),
        reference_chosen=torch.tensor([-2.0, -1.0]),
        reference_rejected=torch.tensor([-2.0, -2.0]),
        beta=0.5,
    )
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-1)) + math.log(2)) / 2)


def test_completion_logprobs_are_those_of_the_model() -> None:
    folder = DEMO / "models" / "base"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    texts = [
        corpus.Text("The capital of France is", " Paris"),
        corpus.Text('Question: What is the past tense of "to go"?\nAnswer:', " went"),
    ]
    with torch.no_grad():
        found = train.completion_logprobs(model, *train.encode(tokenizer, texts))
        for text, value in zip(texts, found, strict=True):
            prompt = tokenizer.encode(text.prompt)
            whole = [*tokenizer.encode(text.prompt + text.completion), tokenizer.eos_token_id]
            # The model's own loss is the mean over the labelled tokens.
            labels = torch.tensor([[-100] * len(prompt) + whole[len(prompt) :]])
            mean = model(torch.tensor([whole]), labels=labels).loss
            assert value.item() == pytest.approx(-mean.item() * (len(whole) - len(prompt)), 1e-4)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_a_short_training_learns_and_its_stages_repeat_themselves(
    facts: list[corpus.Fact], tmp_path: Path
) -> None:
    whole, apart = tmp_path / "whole", tmp_path / "apart"
    threads = torch.get_num_threads()
    try:
        train.main(["--steps", "4", "--output", str(whole)])
        for name in ("small-base", "small-sft", "small-aligned"):
            train.main(["--steps", "4", "--output", str(apart), "--stages", name])
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    made = digest(whole)
    assert made.keys() == {
        name for name in digest(DEMO) if name.startswith(("questions/", "models/"))
    }
    assert digest(apart).items() <= made.items()
    assert {path.name for path in (apart / "models").iterdir()} == {
        "small-base",
        "small-sft",
        "small-aligned",
    }

    tokenizer = AutoTokenizer.from_pretrained(whole / "models" / "base")
    source = corpus.Corpus(facts, seed=random.Random(0).randrange(10**6))
    texts = [source.prose() for _ in range(30)]
    with torch.no_grad():
        untrained = [
            train.language_loss(
                train.new_model(tokenizer, stage.hidden_size, stage.intermediate_size, seed=0),
                tokenizer,
                texts,
            ).item()
            for stage in train.STAGES.values()
            if isinstance(stage, train.Pretraining)
        ]
        losses = {
            name: train.language_loss(
                train.load(whole / "models" / name)[0], tokenizer, texts
            ).item()
            for name in train.STAGES
        }
    assert max(losses.values()) < min(untrained) - 0.2
    assert len(set(losses.values())) == len(losses)


def test_a_stage_without_the_one_it_starts_from_says_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="train the stage 'sft' first"):
        train.main(["--output", str(tmp_path), "--stages", "aligned"])
