"""The step `letter_parts`: a change under raw letters, split into answer and format.

Raw letters are letter mass × normalised letters. A model whose alignment taught it to answer with a
letter moves its mass; one that came to know better, or to be surer, the split among the letters.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import Estimate, combined
from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Floats, Predictions
from alignment_calibration.contract.pairs import LETTER_PARTS
from alignment_calibration.files.frames import write_frame
from alignment_calibration.pairs.contrasts import Contrast, read_contrasts
from alignment_calibration.study.settings import Settings
from alignment_calibration.study.vocabulary import BASE, STAGES

#: The methods whose answers are read: letters among themselves, and of the whole vocabulary.
LISTED: Final = "choice"
RAW: Final = "choice_raw"


def raw_predictions(listed: Predictions, mass: Floats) -> Predictions:
    """Predictions of raw letters: listed ones times a letter mass, and the rest behind them.

    Args:
        listed: of N questions, probabilities of the listed letters among themselves.
        mass: shape (N,); a mass above 1 is rounding and counts as 1.
    """
    mass = np.minimum(mass, 1.0)
    probabilities = np.pad(listed.probabilities * mass[:, None], ((0, 0), (0, 1)))
    probabilities[np.arange(len(listed)), listed.options] = 1.0 - mass
    return replace(
        listed, probabilities=probabilities, options=listed.options + 1, letter_mass=mass
    )


def split(
    listed: Mapping[str, Predictions],
    mass: Mapping[str, Floats],
    metrics: Sequence[str],
    settings: Settings,
) -> dict[str, dict[str, Estimate]]:
    """The change of each metric under raw letters, and its two parts, which add up to it.

    `format` is what another letter mass does, `answer` what another split among the letters does:
    each is the mean of its effect on the base model and on the aligned model, that is over both
    orders of changing the two (Kitagawa 1955; Shapley's value of two players).

    Args:
        listed: predictions of the listed letters among themselves, by stage.
        mass: letter mass, shape (N,), by stage.
        metrics: names in the registry; those without an estimate are left out, accuracy is added.
        settings: of the binned metrics.

    Returns:
        By metric, estimates of `whole`, `answer` and `format`.
    """
    names = dict.fromkeys(("accuracy", *metrics))
    chosen = {name: metric for name, metric in select(list(names)).items() if metric.is_estimated}
    of = {
        (letters, amount): Sample(
            raw_predictions(listed[letters], mass[amount]), chosen, settings
        ).estimates()
        for letters in STAGES
        for amount in STAGES
    }

    def weighted(name: str, answer: float, format_: float) -> Estimate:
        """The sum over the four, a stage of base with the negative weight of its part."""
        sign = {stage: -1 if stage == BASE else 1 for stage in STAGES}
        weights = {
            (letters, amount): (sign[letters] * answer + sign[amount] * format_) / 2
            for letters, amount in of
        }
        used = [key for key, weight in weights.items() if weight]
        return combined([of[key][name] for key in used], [weights[key] for key in used])

    return {
        name: {
            "whole": weighted(name, 1, 1),
            "answer": weighted(name, 1, 0),
            "format": weighted(name, 0, 1),
        }
        for name in of[BASE, BASE]
    }


def letter_parts(
    contrasts: Iterable[Contrast], metrics: Sequence[str], settings: Settings
) -> Iterator[tuple[object, ...]]:
    """Rows of the LETTER_PARTS contract of one pair, of the tasks that have letters.

    Args:
        contrasts: of the pair.
        metrics: names in the registry.
        settings: of the binned metrics.
    """
    answers = {(contrast.task, contrast.method): contrast for contrast in contrasts}
    for pair, task, method, *models in answers.values():
        if method != LISTED or (task, RAW) not in answers:
            continue
        listed = dict(zip(STAGES, (model.predictions for model in models), strict=True))
        mass = {stage: np.asarray(listed[stage].letter_mass) for stage in STAGES}
        for name, parts in split(listed, mass, metrics, settings).items():
            for part, found in parts.items():
                yield (pair, task, name, part, found.value, found.debiased, *found.interval())


def write_letter_parts(
    confidences: Mapping[str, Mapping[str, str | Path]],
    pairs: Mapping[str, Mapping[str, str]],
    metrics: Sequence[str],
    settings: Settings,
    resample: str,
    output: str | Path,
) -> None:
    """Write the parts of all pairs.

    Args:
        confidences: confidences file of each model and task.
        pairs: `base` and `aligned` model of each pair.
        metrics: names in the registry.
        settings: of the binned metrics.
        resample: how the questions were drawn, by name in `drawing.DRAWINGS`.
        output: Parquet file to write.

    Raises:
        UserError: if the models of a pair did not answer the same questions, or a file is damaged.
    """
    rows = [
        row
        for pair, models in sorted(pairs.items())
        for row in letter_parts(
            read_contrasts(
                pair, confidences[models["base"]], confidences[models["aligned"]], resample
            ),
            metrics,
            settings,
        )
    ]
    write_frame(output, pd.DataFrame(rows, columns=LETTER_PARTS.names), LETTER_PARTS)
