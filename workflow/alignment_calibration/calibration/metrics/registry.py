"""The registry of metrics: numbers over the predictions of one model on one task under one method.

To add a metric, write a formula over a tally (or a curve), put an entry with all that is known of
it into `METRICS`, and its name into the config's schema.
"""

import operator
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from alignment_calibration.calibration.metrics import curves, formulas, tallies
from alignment_calibration.calibration.metrics.curves import Curve
from alignment_calibration.calibration.metrics.gaps import (
    AGAINST_ONE_VS_REST,
    CLASS_WISE,
    CLASS_WISE_ABOVE,
    TOP_LABEL,
    Gaps,
)
from alignment_calibration.calibration.metrics.tallies import Columns, Tally
from alignment_calibration.calibration.predictions import Booleans, Floats, Predictions
from alignment_calibration.calibration.resampling import Interval

Unit = Literal["fraction", "nats"]
Binning = Literal["equal_width", "equal_mass"]
Direction = Literal[-1, 0, 1]


#: Wrong answers that are few for most metrics, and for those that hang on them more.
FEW_WRONG: Final = 10
RATHER_FEW_WRONG: Final = 100


@dataclass(frozen=True)
class Metric:
    """A metric and what is known of it.

    Attributes:
        label: its name on axes and in headings.
        worse: +1 if a rise is worse, −1 if a fall is worse, 0 if neither is.
        bounds: least and greatest value it can have, which its interval does not leave.
        unit: fractions are shown in percent.
        tally: what the questions add up to; None for a curve.
        formula: the metric as a function of the tally's sums.
        curve: the metric as a function of confidence, correctness and weights; else None.
        shares: what each question adds to the metric, as a function of the tally's columns: shape
            (N,), with the metric for their sum. None where it is no sum over questions.
        gaps: of a binned error that is a sum of absolute gaps, also if its formula then takes a
            bias away: which fields of the tally they lie between.
        binning: kind of bins, None without.
        rebinned: its tally in bins of the other kind.
        interval: kind of bootstrap interval, chosen by its coverage in simulation, for a metric
            without an estimate.
        interval_covers: whether its interval was seen to cover at its nominal rate, be the model
            calibrated or not (docs/statistics.md has the figures).
        wrong_answers: how many of them it takes for the interval of a value to cover, where less
            than a tenth of the answers are wrong; 0 where it does not hang on them.
        letters_only: whether it needs the probability mass on the listed letters.
        of_answer: whether it sees nothing but which answers are right, and their confidences.
    """

    label: str
    worse: Direction
    bounds: tuple[float, float]
    unit: Unit = "fraction"
    tally: Tally | None = None
    formula: Callable[[Floats], Floats] | None = None
    curve: Curve | None = None
    shares: Callable[[Columns], Floats] | None = None
    gaps: Gaps | None = None
    binning: Binning | None = None
    rebinned: Tally | None = None
    interval: Interval = "percentile"
    interval_covers: bool = True
    wrong_answers: int = FEW_WRONG
    letters_only: bool = False
    of_answer: bool = False

    @property
    def is_estimated(self) -> bool:
        """Whether it comes with an estimate: means of questions and sums of absolute gaps do."""
        return self.shares is not None or self.gaps is not None

    @property
    def has_rate_interval(self) -> bool:
        """Whether there is an interval of its change rate: not where it may be negative, so that a
        rate has no meaning, nor where its bootstrap interval is mirrored, as no ratio can be.
        """
        return self.bounds[0] >= 0 and (self.is_estimated or self.interval == "percentile")

    @property
    def binnings(self) -> dict[Binning | None, Tally]:
        """The tallies with which it enters the multiverse, by kind of bins: none for metrics that
        have no better side, that see only an order, or whose bins are of one kind alone.
        """
        if self.tally is None or not self.worse:
            return {}
        if self.binning is None:
            return {None: self.tally}
        if self.rebinned is None:
            return {}
        other: Binning = "equal_mass" if self.binning == "equal_width" else "equal_width"
        return {self.binning: self.tally, other: self.rebinned}


def _mean(
    label: str,
    number: Callable[[Predictions], Floats | Booleans],
    worse: Direction,
    bounds: tuple[float, float] = (0, 1),
    unit: Unit = "fraction",
    letters_only: bool = False,
    of_answer: bool = False,
    wrong_answers: int = FEW_WRONG,
) -> Metric:
    """The mean over questions of a number."""
    return Metric(
        label,
        worse,
        bounds,
        unit,
        tallies.of_questions(number),
        formulas.mean,
        shares=formulas.mean_shares,
        wrong_answers=wrong_answers,
        letters_only=letters_only,
        of_answer=of_answer,
    )


def _error(
    label: str,
    tally: Tally,
    formula: Callable[[Floats], Floats],
    gaps: Gaps | None = None,
    binning: Binning | None = None,
    rebinned: Tally | None = None,
    of_answer: bool = False,
) -> Metric:
    """A calibration error; one that is the sum of its gaps can be split over questions."""
    return Metric(
        label,
        1,
        (0, 1),
        tally=tally,
        formula=formula,
        shares=gaps.shares if gaps is not None and formula == gaps.error else None,
        gaps=gaps,
        binning=binning,
        rebinned=rebinned,
        interval="hull",
        interval_covers=gaps is not None,
        of_answer=of_answer,
    )


def _top_label(label: str, formula: Callable[[Floats], Floats], gaps: Gaps | None) -> Metric:
    """A calibration error of the chosen option, in equal-width bins of its confidence."""
    equal_width, equal_mass = tallies.top_equal_width, tallies.top_equal_mass
    return _error(label, equal_width, formula, gaps, "equal_width", equal_mass, of_answer=True)


def _class_wise(label: str, gaps: Gaps) -> Metric:
    """A calibration error of every option, in equal-width bins of its probability."""
    equal_width, equal_mass = tallies.class_equal_width, tallies.class_equal_mass
    return _error(label, equal_width, gaps.error, gaps, "equal_width", equal_mass)


def _brier_part(
    label: str,
    formula: Callable[[Floats], Floats],
    worse: Direction,
    most: float,
    *,
    interval_covers: bool = True,
    wrong_answers: int = FEW_WRONG,
) -> Metric:
    return Metric(
        label,
        worse,
        (0, most),
        tally=tallies.class_equal_width,
        formula=formula,
        binning="equal_width",
        interval="basic",
        interval_covers=interval_covers,
        wrong_answers=wrong_answers,
    )


def _overconfidence(predictions: Predictions) -> Floats:
    return np.asarray(predictions.confidence - predictions.correct)


_number = operator.attrgetter

METRICS: Final[dict[str, Metric]] = {
    "accuracy": _mean("accuracy", _number("correct"), worse=-1, of_answer=True),
    "confidence": _mean(
        "confidence", _number("confidence"), worse=0, of_answer=True, wrong_answers=0
    ),
    "overconfidence": _mean(
        "overconfidence", _overconfidence, worse=0, bounds=(-1, 1), of_answer=True
    ),
    "ece": _top_label("ECE", TOP_LABEL.error, TOP_LABEL),
    "ece_equal_mass": _error(
        "ECE, equal mass",
        tallies.top_equal_mass,
        TOP_LABEL.error,
        TOP_LABEL,
        "equal_mass",
        of_answer=True,
    ),
    "ece_debiased": _top_label("ECE, debiased", formulas.top_label_debiased, TOP_LABEL),
    "smooth_ece": _error("smooth ECE", tallies.residual_waves, formulas.smooth_ece, of_answer=True),
    "mce": _top_label("MCE", formulas.top_label_maximum, None),
    "sce": _class_wise("SCE (label frequency)", CLASS_WISE),
    "sce_ovr": _class_wise("SCE (one-vs-rest)", AGAINST_ONE_VS_REST),
    "ace": _error("ACE", tallies.class_equal_mass, CLASS_WISE.error, CLASS_WISE, "equal_mass"),
    "tace": _error(
        "TACE",
        tallies.class_equal_mass_above,
        CLASS_WISE_ABOVE.error,
        CLASS_WISE_ABOVE,
        "equal_mass",
    ),
    "brier": _mean("Brier score", _number("squared_error"), worse=1, bounds=(0, 2)),
    "brier_reliability": _brier_part(
        "Brier reliability", formulas.brier_reliability, 1, 2, wrong_answers=RATHER_FEW_WRONG
    ),
    "brier_resolution": _brier_part(
        "Brier resolution", formulas.brier_resolution, -1, 1, interval_covers=False
    ),
    "brier_uncertainty": _brier_part(
        "Brier uncertainty", formulas.brier_uncertainty, 0, 1, wrong_answers=0
    ),
    "nll": _mean(
        "NLL",
        _number("log_loss"),
        worse=1,
        bounds=(0, np.inf),
        unit="nats",
        wrong_answers=RATHER_FEW_WRONG,
    ),
    "auroc": Metric(
        "AUROC", -1, (0, 1), curve=curves.auroc, wrong_answers=RATHER_FEW_WRONG, of_answer=True
    ),
    "aurc": Metric(
        "AURC", 1, (0, 1), curve=curves.aurc, wrong_answers=RATHER_FEW_WRONG, of_answer=True
    ),
    "letter_mass": _mean(
        "letter mass", _number("letter_mass"), worse=0, letters_only=True, wrong_answers=0
    ),
}


def select(names: Iterable[str]) -> dict[str, Metric]:
    """The metrics of these names, in the registry's order."""
    wanted = set(names)
    return {name: metric for name, metric in METRICS.items() if name in wanted}


def of_own_tests(names: Iterable[str]) -> list[str]:
    """The first of the metrics, in their order, of each that have one estimate and so one test:
    `ece_debiased` is what `ece` estimates.
    """
    tests: dict[object, str] = {}
    for name in names:
        metric = METRICS[name]
        tests.setdefault((metric.gaps, metric.tally) if metric.gaps else name, name)
    return list(tests.values())


def interval_note(names: Iterable[str]) -> str:
    """What to say wherever intervals of these metrics are shown."""
    chosen = select(names)
    indicative = [name for name, metric in chosen.items() if not metric.interval_covers]
    note = "In brackets: 95 % interval."
    if any(metric.gaps is not None for metric in chosen.values()):
        note += (
            " A binned error is too large near 0, so its interval may lie below it: then the error "
            "less its estimated bias is shown as well (debiased)."
        )
    if indicative:
        note += (
            f" Those of {', '.join(indicative)} are indicative only: in simulation they hold the "
            "truth less often than that (docs/statistics.md)."
        )
    return note


#: What marks intervals of values that wrong answers are too few for.
FEW_WRONG_MARK: Final = "†"


def value_interval_note(names: Collection[str]) -> str:
    """What to say wherever intervals of these metrics of one model are shown."""
    note = interval_note(names)
    chosen = select(names)
    if not any(metric.wrong_answers for metric in chosen.values()):
        return note
    more = [name for name, metric in chosen.items() if metric.wrong_answers > FEW_WRONG]
    note += (
        " Intervals hold the truth less often where less than a tenth of the answers are wrong and "
        f"fewer than {FEW_WRONG}"
    )
    note += f" (of {', '.join(more)} fewer than {RATHER_FEW_WRONG})" if more else ""
    return note + (f": {FEW_WRONG_MARK}." if "accuracy" in chosen else ".")


def few_wrong(metric: str, accuracy: float, questions: int) -> bool:
    """Whether a model gives so few wrong answers that the interval of a metric's value covers less.

    Seen of all metrics that hang on them with fewer than 10, and of some at accuracy .95 with 50,
    not with 250; at .80 and below not with 40 (docs/statistics.md); where between the two is not
    known, so this is cautious.
    """
    wrong = (1 - accuracy) * questions
    return wrong < METRICS[metric].wrong_answers and wrong < questions / 10


def rate_interval_note(names: Iterable[str]) -> str:
    """What to say wherever intervals of these metrics' change rates are shown."""
    chosen = select(names)
    without = [name for name, metric in chosen.items() if not metric.has_rate_interval]
    note = (
        "In brackets: 95 % interval; ≥ stands before the lower end of one without upper end, as "
        "where the true value of the base model may be 0."
    )
    if any(metric.gaps is not None for metric in chosen.values()):
        note += (
            " A binned error is too large near 0, so the interval may leave out the rate: then "
            "that of the errors less their estimated bias is shown as well (debiased)."
        )
    if without:
        note += f" Rates of {', '.join(without)} have none (docs/statistics.md)."
    return note
