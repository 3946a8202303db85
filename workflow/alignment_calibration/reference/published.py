"""The published numbers of the reference study (Oh & Hwang 2024, arXiv 2409.00352)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.calibration.sce_audit import closed_form
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import UserError
from alignment_calibration.pairs.ranks import rank_pairs
from alignment_calibration.study.vocabulary import STAGES

#: The tasks of the paper's Table 1.
TABLE_1_TASKS = ("arc_easy", "hellaswag", "medmcqa", "mmlu_humanities", "mmlu_stem", "piqa")

#: Half of the last printed digit. Changes of accuracy are printed in percent.
HALF_DIGIT_OF_CHANGE = {"accuracy": 0.00005, "ece": 0.0005, "sce_ovr": 0.0005}
HALF_DIGIT_OF_RATE = 0.00005

#: Options per question, where they are not four. (A few questions of ARC have three or five.)
OPTIONS = {"piqa": 2}

#: The audit leaves out values that the rounding of the figures leaves open by more than ± this.
RESOLUTION = 0.02

#: Of what the pipeline knows of a change, what the study did not publish: no column of the file.
#: With the types that they have in frames.
UNPUBLISHED: Final = {
    "base_debiased": "float64",
    "aligned_debiased": "float64",
    "ci_covers": "boolean",
    "q_all": "float64",
    "p_exchangeable": "float64",
    "mde": "float64",
    "truncated": "Int64",
}

#: What names a contrast.
CONTRAST = ["pair", "task", "method"]


def read_published(path: str | Path) -> pd.DataFrame:
    """The published changes, in the columns of CHANGES, with the ranks as published.

    Raises:
        UserError: if the file has other columns than CHANGES without UNPUBLISHED.
    """
    published = pd.read_csv(path, dtype={"rank": "Int64", "n": "Int64"})
    expected = [name for name in CHANGES.names if name not in UNPUBLISHED]
    if list(published) != expected:
        raise UserError(f"{path}: found columns {list(published)}, expected {expected}")
    return published.reindex(columns=CHANGES.names).astype(UNPUBLISHED)


def published_changes(published: pd.DataFrame) -> pd.DataFrame:
    """The published changes as the step `changes` gives them: ranks computed from the rates."""
    return published.assign(rank=rank_pairs(published))


def table_1(changes: pd.DataFrame) -> pd.DataFrame:
    """The part of the published changes that the paper's Table 1 shows."""
    return changes[
        changes["task"].isin(TABLE_1_TASKS)
        & (changes["method"] == "choice")
        & (changes["metric"] == "sce_ovr")
    ]


def recover(published: pd.DataFrame) -> pd.DataFrame:
    """The values of base and aligned model behind the published changes.

    As rate = change / base, base = change / rate and aligned = base + change. Both figures were
    rounded, so each value comes with the least and the largest value (within [0, 1]) that rounds
    to them; NaN where a rate may be 0, since any base would do.

    Returns:
        Columns pair, task, method, metric, stage, value, low, high; fractions.
    """
    half = published["metric"].map(HALF_DIGIT_OF_CHANGE).to_numpy()
    change, rate = published["change"].to_numpy(), published["change_rate"].to_numpy()
    changes = [change - half, change + half]
    open_rate = np.abs(rate) <= HALF_DIGIT_OF_RATE
    rates = [np.where(open_rate, np.nan, rate + sign * HALF_DIGIT_OF_RATE) for sign in (-1, 1)]
    frames = []
    for stage, own in zip(STAGES, (0, 1), strict=True):
        # Monotone in change and in rate, so that the extremes are at the corners.
        corners = np.stack([c / r + own * c for c in changes for r in rates])
        value = np.where(open_rate, np.nan, change / np.where(open_rate, np.nan, rate))
        frames.append(
            published[[*CONTRAST, "metric"]].assign(
                stage=stage,
                value=value + own * change,
                low=corners.min(axis=0).clip(0, 1),
                high=corners.max(axis=0).clip(0, 1),
            )
        )
    return pd.concat(frames).sort_values([*CONTRAST, "metric", "stage"], ignore_index=True)


def audit(recovered: pd.DataFrame) -> pd.DataFrame:
    """The published SCE, as far as it can be recovered, against accuracy, confidence and ECE.

    A model's mean confidence was not published. Where all bins err to one side it is accuracy ±
    ECE; the sign taken is that with which the closed form fits better (`errors_of_definitions` also
    tells how it fits with "over-confident" throughout).

    Args:
        recovered: as from `recover`.

    Returns:
        Rows of the PUBLISHED_AUDIT contract: contrasts and stages of which accuracy, ECE and SCE
        are all known to within RESOLUTION.
    """
    value, low, high = (
        recovered.pivot(index=[*CONTRAST, "stage"], columns="metric", values=name)
        for name in ("value", "low", "high")
    )
    known = ((high - low) / 2 <= RESOLUTION).all(axis="columns")
    value, low, high = value[known], low[known], high[known]
    frame = value.index.to_frame(index=False)
    options: Floats = np.array([OPTIONS.get(task, 4) for task in frame["task"]], np.float64)
    accuracy, ece, sce = (value[metric].to_numpy(np.float64) for metric in HALF_DIGIT_OF_CHANGE)
    forms = {
        sign: closed_form(options, accuracy, np.clip(accuracy + sign * ece, 0, 1))
        for sign in (1, -1)
    }
    over = np.abs(forms[1] - sce) <= np.abs(forms[-1] - sce)
    return frame.assign(
        options=options.astype(np.int64),
        accuracy=accuracy,
        ece=ece,
        confidence=np.clip(accuracy + np.where(over, ece, -ece), 0, 1),
        over_confident=over,
        sce_recovered=sce,
        sce_low=low["sce_ovr"].to_numpy(),
        sce_high=high["sce_ovr"].to_numpy(),
        sce_closed_form=np.where(over, forms[1], forms[-1]),
    )


def definitions(options: Floats, accuracy: Floats, confidence: Floats) -> Mapping[str, Floats]:
    """What SCE comes to under three definitions of it, for a model equally good on all classes.

    The model gives its choice the probability c (its confidence) and each of the other K − 1
    options (1 − c) / (K − 1), and is right with probability a, all classes alike. Then every
    class has a bin at c, with 1/K of the questions, and one at (1 − c) / (K − 1) with the others;
    what is observed there is

    - `one_vs_rest`: how often (ŷ = k) = (y = k): a, and 1 − (1 − a) / (K − 1);
    - `label_frequency` (Nixon et al. 2019): how often y = k: a, and (1 − a) / (K − 1);
    - `top_1`: how often ŷ = y, in all bins: a, and a.
    """
    K, a, c = options, accuracy, confidence
    rest = (1 - c) / (K - 1)
    observed = {
        "one_vs_rest": 1 - (1 - a) / (K - 1),
        "label_frequency": (1 - a) / (K - 1),
        "top_1": a,
    }
    return {
        name: np.asarray((np.abs(a - c) + (K - 1) * np.abs(other - rest)) / K)
        for name, other in observed.items()
    }


def errors_of_definitions(audited: pd.DataFrame) -> pd.DataFrame:
    """How far each definition of SCE is from the published figures.

    Returns:
        A row per definition and assumption about the sign of accuracy − confidence (`better` of the
        two for each value, or `over-confident` throughout): number of values, and median, mean and
        largest absolute error.
    """
    K, a, ece, sce = (
        audited[name].to_numpy(dtype=np.float64)
        for name in ("options", "accuracy", "ece", "sce_recovered")
    )
    over = definitions(K, a, np.clip(a + ece, 0, 1))
    under = definitions(K, a, np.clip(a - ece, 0, 1))
    rows = []
    for definition in over:
        error = np.abs(over[definition] - sce)
        better = np.minimum(error, np.abs(under[definition] - sce))
        rows += [
            (definition, sign, len(e), np.median(e), e.mean(), e.max())
            for sign, e in (("better", better), ("over-confident", error))
        ]
    return pd.DataFrame(rows, columns=["definition", "sign", "values", "median", "mean", "largest"])


def compare_ranks(published: pd.DataFrame) -> pd.DataFrame:
    """Published ranks beside the ranks of the published rates.

    Args:
        published: as from `read_published`.

    Returns:
        Columns pair, task, method, metric, change_rate, published_rank, rank and agrees.
    """
    names = {"rank": "published_rank"}
    compared = published[[*CONTRAST, "metric", "change_rate", "rank"]].rename(columns=names)
    compared["rank"] = rank_pairs(published)
    compared["agrees"] = compared["rank"] == compared["published_rank"]
    return compared
