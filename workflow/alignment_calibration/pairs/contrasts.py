"""Contrasts: what both models of a pair answered on a task, under a method."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from alignment_calibration.calibration.predictions import Answers, read_pair


class Contrast(NamedTuple):
    """A pair on a task under a method, with the answers of base and aligned model."""

    pair: str
    task: str
    method: str
    base: Answers
    aligned: Answers


def read_contrasts(
    pair: str,
    base: Mapping[str, str | Path],
    aligned: Mapping[str, str | Path],
    resample: str,
) -> Iterator[Contrast]:
    """The contrasts of one pair.

    Args:
        pair: slug.
        base, aligned: confidences file of each task.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.

    Raises:
        UserError: if the models did not answer the same questions, or a file is damaged.
    """
    for task in base:
        for method, answers in read_pair(base[task], aligned[task], resample).items():
            yield Contrast(pair, task, method, *answers)
