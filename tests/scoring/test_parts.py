"""The split of a model's cells over several jobs."""

from itertools import product

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.scoring.parts import split, work_of


def fullest(works: list[int], part_of: tuple[int, ...] | list[int], parts: int) -> int:
    """What the part with most to do has to do."""
    totals = [0] * parts
    for work, part in zip(works, part_of, strict=True):
        totals[part] += work
    return max(totals)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(1, 4))
def test_the_fullest_part_is_within_four_thirds_of_the_best_split(
    works: list[int], parts: int
) -> None:
    best = min(fullest(works, each, parts) for each in product(range(parts), repeat=len(works)))
    part_of = split(works, parts)
    assert set(part_of) <= set(range(parts))
    assert best <= fullest(works, part_of, parts) <= best * 4 / 3


def test_a_split_by_hand() -> None:
    """40 to the first, 30 and 30 to the second, 20 and 10 to the first: 70 and 60."""
    assert split([10, 30, 40, 20, 30], 2) == [0, 1, 0, 0, 1]


@given(st.lists(st.text("aäb", max_size=5), min_size=1, max_size=12))
def test_the_work_of_a_cell_is_the_size_of_its_trie_and_its_options(contexts: list[str]) -> None:
    rows = [
        {
            "question_id": f"t/{number}",
            "choice": choice,
            "context": context,
            "continuation": [" no", " jä"][choice],
            "source_choice": choice,
            "gold": 0,
            "group": "t",
        }
        for number, context in enumerate(contexts)
        for choice in range(2)
    ]
    texts = [context.encode() for context in contexts]
    beginnings = {text[:length] for text in texts for length in range(1, len(text) + 1)}
    work = work_of(pa.Table.from_pylist(rows, schema=QUESTIONS))
    assert work == len(beginnings) + 7 * len(contexts)
