"""The facts of the demo study, and the texts and questions that are made from them.

Every file of ``facts/`` is one relation: wordings, and facts (subject: answer) in order of
familiarity. A fact is *said* in three wordings of a statement and three of a question. One of the
three, chosen by the fact's name alone, is reserved: evaluation questions use it, and no training
text does. So facts recur in the evaluation, but no question and no context of it was ever seen.
"""

import json
import math
import random
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

FACTS = Path(__file__).parent / "facts"
WORDINGS = 3
LETTERS = "ABCDE"
SEPARATOR = "\n\n"

# Number of options of the evaluation questions; a range where it varies by question.
TASK_OPTIONS = {
    "geography": range(4, 5),
    "physical": range(2, 3),
    "science": range(3, 6),
    "words": range(4, 5),
}
# Tasks whose context is a question, as in ARC and PIQA; the others continue a statement.
QUESTION_TASKS = frozenset({"physical", "science"})
QUESTIONS_PER_TASK = 240

# How many times less often the last fact of a file is said than the first.
RARITY = 100.0
# The share of the texts about a subject that repeat the mistake made about it, if there is one.
MISTAKEN_SHARE = 0.35


@dataclass(frozen=True)
class Relation:
    """One file of ``facts/``: subjects of one kind, each with its answer."""

    name: str
    task: str
    questions: tuple[str, ...]
    statements: tuple[str, ...]
    facts: dict[str, str]
    mistaken: dict[str, str]
    similar: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Fact:
    """A true fact, with what is needed to say it and to ask for it."""

    id: str
    relation: Relation
    subject: str
    answer: str
    weight: float  # how often it is said, relative to the other facts

    @property
    def reserved(self) -> int:
        """The wording kept for the evaluation."""
        return zlib.crc32(self.id.encode()) % WORDINGS

    @property
    def mistake(self) -> str | None:
        """A wrong answer that some of the training texts give."""
        return self.relation.mistaken.get(self.subject)

    def question(self, wording: int) -> str:
        """The question for the answer, in one of the wordings."""
        return _capitalised(self.relation.questions[wording].format(subject=self.subject))

    def statement(self, wording: int) -> str:
        """The statement up to the answer, without a trailing space, in one of the wordings."""
        opening = self.relation.statements[wording].removesuffix(" {answer}.")
        return _capitalised(opening.format(subject=self.subject))


@dataclass(frozen=True)
class Text:
    """A training text; the loss is taken on `completion`, which continues `prompt`."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Preference:
    """Two completions of one prompt, of which the first is preferred."""

    chosen: Text
    rejected: Text


@dataclass(frozen=True)
class Question:
    """An evaluation question; the fields are the columns of ``questions/*.jsonl``."""

    id: str
    question: str
    context: str
    options: tuple[str, ...]
    gold: int


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]


def read_relations(folder: Path = FACTS) -> list[Relation]:
    """All relations, sorted by name."""
    relations = []
    for path in sorted(folder.glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        relations.append(
            Relation(
                name=path.stem,
                task=content["task"],
                questions=tuple(content["questions"]),
                statements=tuple(content["statements"]),
                facts=content["facts"],
                mistaken=content.get("mistaken", {}),
                similar=tuple(frozenset(group) for group in content.get("similar", [])),
            )
        )
    return relations


def read_facts(folder: Path = FACTS) -> list[Fact]:
    """All facts. Their weights fall geometrically from 1 to 1 / `RARITY` within a relation."""
    facts = []
    for relation in read_relations(folder):
        for position, (subject, answer) in enumerate(relation.facts.items()):
            fact_id = f"{relation.name}/{subject.replace(' ', '-').lower()}"
            weight = math.exp(-math.log(RARITY) * position / (len(relation.facts) - 1))
            facts.append(Fact(fact_id, relation, subject, answer, weight))
    return facts


def distractors(fact: Fact, answer: str, count: int, rng: random.Random) -> list[str]:
    """Up to `count` answers of the same relation, other than the `answer` that counts as right.

    Answers listed as similar to the true one, which may be right too, are left out.
    """
    others = set(fact.relation.facts.values())
    if fact.mistake is not None:
        others.add(fact.mistake)
    for group in fact.relation.similar:
        if fact.answer in group:
            others -= group - {fact.answer}
    pool = sorted(others - {answer})
    return rng.sample(pool, min(count, len(pool)))


def letters_prompt(question: str, options: Sequence[str]) -> str:
    """The `block` letters prompt of the project's `choice` tasks, without a trailing space."""
    lines = "\n".join(f"{LETTERS[i]}) {option}" for i, option in enumerate(options))
    return (
        "Return the label of the correct answer for the question below.\n\n"
        f"Question: {question}\nChoices:\n{lines}\nAnswer:"
    )


class Corpus:
    """A seeded, endless source of training texts about some facts."""

    def __init__(self, facts: Sequence[Fact], seed: int) -> None:
        self._facts = list(facts)
        self._weights = [fact.weight for fact in facts]
        self._rng = random.Random(seed)

    def _said(self) -> tuple[Fact, str, int]:
        """A fact, the answer that is given for it, and a wording that is not reserved."""
        fact = self._rng.choices(self._facts, self._weights)[0]
        mistaken = fact.mistake is not None and self._rng.random() < MISTAKEN_SHARE
        answer = fact.mistake if mistaken and fact.mistake is not None else fact.answer
        wording = self._rng.choice([w for w in range(WORDINGS) if w != fact.reserved])
        return fact, answer, wording

    def statement(self) -> str:
        """A sentence."""
        fact, answer, wording = self._said()
        return f"{fact.statement(wording)} {answer}."

    def answered(self) -> Text:
        """A question and its answer."""
        fact, answer, wording = self._said()
        return Text(f"Question: {fact.question(wording)}\nAnswer:", f" {answer}")

    def open(self) -> Text:
        """A question, or the opening of a statement, and the answer."""
        fact, answer, wording = self._said()
        return Text(self._asked(fact, wording), f" {answer}")

    def _asked(self, fact: Fact, wording: int) -> str:
        """A prompt that the answer follows."""
        if self._rng.random() < 0.5:
            return f"Question: {fact.question(wording)}\nAnswer:"
        return fact.statement(wording)

    def prose(self) -> Text:
        """A few sentences and answered questions, all of it to be learnt."""
        parts = []
        for _ in range(self._rng.randint(1, 4)):
            if self._rng.random() < 0.5:
                parts.append(self.statement())
            else:
                text = self.answered()
                parts.append(text.prompt + text.completion)
        return Text("", SEPARATOR.join(parts))

    def lettered(self) -> Text:
        """A multiple-choice question of 2 to 5 options, and the letter of the answer."""
        fact, answer, wording = self._said()
        options = [answer, *distractors(fact, answer, self._rng.randint(1, 4), self._rng)]
        self._rng.shuffle(options)
        prompt = letters_prompt(fact.question(wording), options)
        return Text(prompt, f" {LETTERS[options.index(answer)]}")

    def preference(self) -> Preference:
        """A prompt, open or lettered, with the true answer preferred to a wrong one."""
        fact, _, wording = self._said()
        right = fact.answer
        options = [right, *distractors(fact, right, self._rng.randint(1, 4), self._rng)]
        wrong = options[-1]
        if self._rng.random() < 0.5:
            prompt = self._asked(fact, wording)
            return Preference(Text(prompt, f" {right}"), Text(prompt, f" {wrong}"))
        self._rng.shuffle(options)
        prompt = letters_prompt(fact.question(wording), options)
        letters = {option: LETTERS[i] for i, option in enumerate(options)}
        return Preference(Text(prompt, f" {letters[right]}"), Text(prompt, f" {letters[wrong]}"))


def evaluation_questions(facts: Sequence[Fact], task: str, seed: int) -> Iterator[Question]:
    """The questions of one task, sorted by id: every fact at most once, in its reserved wording.

    The right option stands equally often in each place among questions with as many options.
    Where a mistake is made about a subject, it is one of the options.
    """
    rng = random.Random(f"{seed}/{task}")
    chosen = [fact for fact in facts if fact.relation.task == task]
    chosen = rng.sample(chosen, min(QUESTIONS_PER_TASK, len(chosen)))
    sizes = TASK_OPTIONS[task]
    questions = []
    for i, fact in enumerate(chosen):
        size = sizes[i % len(sizes)]
        gold = i // len(sizes) % size
        wrong = distractors(fact, fact.answer, size - 1, rng)
        if fact.mistake is not None and fact.mistake not in wrong:
            wrong[rng.randrange(len(wrong))] = fact.mistake
        options = (*wrong[:gold], fact.answer, *wrong[gold:])
        question = fact.question(fact.reserved)
        if task in QUESTION_TASKS:
            context = f"Question: {question}\nAnswer:"
        else:
            context = fact.statement(fact.reserved)
        questions.append(Question(fact.id, question, context, options, gold))
    yield from sorted(questions, key=lambda question: question.id)


def write_questions(facts: Sequence[Fact], folder: Path, seed: int) -> None:
    """One JSON line per question, one file per task."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in TASK_OPTIONS:
        lines = [
            json.dumps(vars(question), ensure_ascii=False)
            for question in evaluation_questions(facts, task, seed)
        ]
        (folder / f"{task}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
