"""Documents of SciQ with their options in an order that tells nothing about the right one."""

import hashlib

import datasets

SOURCES = ("distractor1", "distractor2", "distractor3", "correct_answer")


def shuffle_options(dataset: datasets.Dataset) -> datasets.Dataset:
    """Add the columns `options`, `gold` (index of the right one) and `source_choice` (index of
    each option in lm-eval's order).

    The order follows from hashes of question and option, hence from the document alone: the same
    in every prompt, split and run.
    """
    return dataset.map(_shuffle)


def _shuffle(document: dict[str, str]) -> dict[str, object]:
    options = [document[source] for source in SOURCES]

    def place(source: int) -> bytes:
        return hashlib.sha256(f"{document['question']}\0{options[source]}".encode()).digest()

    order = sorted(range(len(options)), key=place)
    return {
        "options": [options[source] for source in order],
        "gold": order.index(SOURCES.index("correct_answer")),
        "source_choice": order,
    }
