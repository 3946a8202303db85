"""Documents in the original columns of the data sets, made up for the tests."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]


def arc(question: str, options: Sequence[str], labels: str, answer: str) -> Document:
    return {
        "id": question[:8],
        "question": question,
        "choices": {"text": list(options), "label": list(labels)},
        "answerKey": answer,
    }


ARC = [
    arc(
        "Which gas do plants take in?", ["oxygen", "carbon dioxide", "helium", "neon"], "ABCD", "B"
    ),
    arc("What melts first?", ["ice", "iron", "granite"], "ABC", "A"),
    arc("Which is a mammal?", ["trout", "bat", "wren", "newt", "wasp"], "ABCDE", "B"),
    arc("Which one is a planet?", ["Sirius", "Ceres", "Vega", "Mars"], "1234", "4"),
]
PIQA = [
    {"goal": "Dry a plate.", "sol1": "Use a towel.", "sol2": "Use a soup.", "label": 0},
    {"goal": "Cut paper,", "sol1": "with a spoon ", "sol2": "with scissors ", "label": 1},
    {"goal": "7", "sol1": "is odd", "sol2": "is even", "label": 0},
]
HELLASWAG = [
    {
        "ind": 24,
        "activity_label": "Roof shingle removal",
        "ctx_a": "A man is sitting on a roof.",
        "ctx_b": "he",
        "ctx": "A man is sitting on a roof. he",
        "endings": ["starts pulling up roofing.", "is on skis.", "[title] sings.", "ends  it."],
        "source_id": "activitynet~v_1",
        "split": "val",
        "split_type": "indomain",
        "label": "0",
    },
    {
        "ind": 25,
        "activity_label": "Making soup",
        "ctx_a": "Chop the onions [substeps] finely. [title] Then",
        "ctx_b": "the onions",
        "ctx": "",
        "endings": ["fly off.", "go into the pot.", "vote.", "are blue."],
        "source_id": "wikihow~2",
        "split": "val",
        "split_type": "zeroshot",
        "label": "1",
    },
]
SCIQ = [
    {
        "question": f"Which word belongs to group {number}?",
        "distractor1": f"first {number}",
        "distractor2": f"second {number}",
        "distractor3": f"third {number}",
        "correct_answer": f"right {number}",
        "support": f" Group {number} is described here." if number % 2 else "",
    }
    for number in range(40)
]
MEDMCQA = [
    {
        "id": "1",
        "question": "Which vitamin does sunlight make?",
        "opa": "A",
        "opb": "C",
        "opc": "D",
        "opd": "K",
        "cop": 2,
        "choice_type": "single",
        "exp": "",
        "subject_name": "Biochemistry",
        "topic_name": "",
    }
]
WINOGRANDE = [
    {
        "sentence": "The cup did not fit the box because _ was too large.",
        "option1": "the cup",
        "option2": "the box",
        "answer": "1",
    },
    {
        "sentence": "Ann paid Eve because _ had lost the bet.",
        "option1": "Eve",
        "option2": "Ann",
        "answer": "2",
    },
]


def mmlu(subject: str, count: int = 3) -> list[Document]:
    return [
        {
            "question": f" How many {subject} are {number}? ",
            "subject": subject,
            "choices": [str(number), "none", "two dozen", "all"],
            "answer": number % 4,
        }
        for number in range(count)
    ]


def write(path: Path, documents: Sequence[Document]) -> str:
    """Write one document a line; returns the path as a string."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return str(path)
