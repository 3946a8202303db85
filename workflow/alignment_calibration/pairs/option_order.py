"""The step `option_order`: what letters have by themselves, in base and aligned models."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from alignment_calibration.calibration.confidences import option_scores, question_starts
from alignment_calibration.calibration.drawing import drawing_of
from alignment_calibration.calibration.estimates import Estimate, change, contributions
from alignment_calibration.calibration.normalisations import Scores, letter_prior, rotation_spans
from alignment_calibration.contract.pairs import OPTION_ORDER
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.logits import read_logits
from alignment_calibration.study.letters import LETTERS
from alignment_calibration.study.vocabulary import CHOICE_CYCLIC

Cells = Mapping[tuple[str, str], tuple[str | Path, Mapping[str, Any]]]


def priors(logits: pa.Table, resample: str) -> tuple[list[Estimate], int]:
    """The prior probability of each letter in a question with the most options, from all questions.

    Args:
        logits: rows of the LOGITS contract, of the prompt `choice_cyclic`.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.

    Returns:
        An estimate for each letter, and the number of questions. A probability is a smooth function
        of the mean log priors, so its error is linear in theirs (delta method).
    """
    scores = Scores(option_scores(logits, "letters"), question_starts(logits["question_id"]))
    spans = rotation_spans(scores)
    groups = logits["group"].take(scores.starts[spans[:, 0]]).to_numpy()
    prior, drawing = letter_prior(scores, spans), drawing_of(groups, resample)
    weights = np.exp(prior.logs - prior.logs.max())
    shares = weights / weights.sum()
    influence = shares * (prior.influence - (prior.influence @ shares)[:, None])
    found = [
        Estimate(float(share), float(share), 0.0, 0.0, contributions(of_letter, drawing))
        for share, of_letter in zip(shares, influence.T, strict=True)
    ]
    return found, len(spans)


def option_order(
    pair: str, base: Cells, aligned: Cells, resample: str
) -> Iterator[tuple[object, ...]]:
    """Rows of the OPTION_ORDER contract of one pair.

    Args:
        pair: slug.
        base, aligned: receipt of the logit file of each task and prompt, and the identity that the
            file must have.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.

    Raises:
        UserError: if a logit file is missing, damaged or of another identity.
    """
    for task, prompt in base:
        if prompt != CHOICE_CYCLIC:
            continue
        models, (questions, _) = zip(
            *(priors(read_logits(*cells[task, prompt]), resample) for cells in (base, aligned)),
            strict=True,
        )
        for letter, (before, after) in zip(LETTERS, zip(*models, strict=True), strict=False):
            found = (before, after, change(before, after))
            numbers = [number for each in found for number in (each.value, *each.interval())]
            yield (pair, task, letter, *numbers, questions)


def write_option_order(
    cells: Mapping[str, Cells],
    pairs: Mapping[str, Mapping[str, str]],
    resample: str,
    output: str | Path,
) -> None:
    """Write the priors of the letters of all pairs.

    Args:
        cells: of each model, see `option_order`.
        pairs: `base` and `aligned` model of each pair.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.
        output: Parquet file to write.

    Raises:
        UserError: as `option_order`.
    """
    rows = [
        row
        for pair, models in sorted(pairs.items())
        for row in option_order(pair, cells[models["base"]], cells[models["aligned"]], resample)
    ]
    write_frame(output, pd.DataFrame(rows, columns=OPTION_ORDER.names), OPTION_ORDER)
