"""Makes up what `lm_eval --log_samples` writes, of as many models as are asked for."""

import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.simulation import Floats, draw_gold, softmax

DATE = "2026-01-01T00-00-00.000000"
LETTERS = "ABCD"


def write_samples(
    folder: Path,
    task: str,
    questions: int,
    model: int = 0,
    temperature: float = 1.0,
    noise: float = 0.5,
) -> None:
    """Write the sample file of one task of four options; of a task named `…_choice`, of letters.

    Every model is asked the same questions. The right option is drawn from the softmax of a task's
    logits, to which a model adds noise of its own; at temperature 1 and without noise it is
    calibrated, and over-confident below.

    Args:
        folder: the model's.
        task: name of the lm-eval task.
        model: number that decides its noise.
    """
    seed = zlib.crc32(task.encode())
    random = np.random.default_rng(seed)
    logits = 2.0 * random.normal(size=(questions, len(LETTERS)))
    gold = draw_gold(random, softmax(logits))
    own = logits + noise * np.random.default_rng([seed, model]).normal(size=logits.shape)
    totals = np.log(softmax(own / temperature)) - 0.1
    listed = task.endswith("_choice")
    lines = []
    for document, (of_options, right) in enumerate(zip(totals, gold, strict=True)):
        texts = [f"option {document} {letter}, told at some length" for letter in LETTERS]
        context = f"Question {document} of {task}: " + "which of the options is right? " * 5
        if listed:
            context += "".join(map("\n{}) {}".format, LETTERS, texts))
        answers = [f" {answer}" for answer in (LETTERS if listed else texts)]
        lines.append(_line(document, [context] * len(answers), answers, of_options, int(right)))
    _write(folder, task, lines)


def log_samples(folder: Path, questions: pd.DataFrame, logits: pd.DataFrame) -> None:
    """Write what lm-eval would have of a cell that the study has scored.

    Args:
        folder: the model's.
        questions, logits: rows of the contracts of these names.
    """
    rows = questions.assign(total=logits["token_logprobs"].map(sum))
    for task, of_task in rows.groupby("group"):
        lines = [
            _line(
                int(str(question).rpartition("/")[2]),
                options["context"],
                options["continuation"],
                options["total"].to_numpy(),
                int(options["gold"].iloc[0]),
            )
            for question, options in of_task.groupby("question_id")
        ]
        _write(folder, str(task), lines)


def _line(
    document: int, contexts: Iterable[str], answers: Iterable[str], totals: Floats, right: int
) -> dict[str, object]:
    return {
        "doc_id": document,
        "doc": {},
        "target": str(right),
        "arguments": {
            f"gen_args_{number}": {"arg_0": context, "arg_1": answer}
            for number, (context, answer) in enumerate(zip(contexts, answers, strict=True))
        },
        "resps": [[[str(total), "False"]] for total in totals],
        "filtered_resps": [[str(total), "False"] for total in totals],
        "acc": float(int(np.argmax(totals)) == right),
    }


def _write(folder: Path, task: str, lines: Sequence[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"samples_{task}_{DATE}.jsonl").write_text(text, encoding="utf-8")
