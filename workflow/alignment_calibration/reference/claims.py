"""What the reference study claims (Oh & Hwang 2024), put to the changes of a study.

Of each contrast the change rate of a metric is put to one-sided tests at 5 %: is it above a
threshold, is it below? (Of the published numbers, which have no estimates, the rate itself is taken
at its word.) Then a contrast is

- *above* the threshold if its own test says so: a claim about every contrast takes them all;
- *below* it if it is after Holm's correction over the contrasts of the claim, since one fall among
  many decides it: where no rate is below, some is found to be in at most 5 % of studies;
- *open* otherwise.

A claim about every contrast holds if every one is as claimed, fails if one is clearly not, and is
undecided otherwise; a claim that some contrast is so holds if one clearly is, fails if all clearly
are not, and is undecided otherwise. A claim about most contrasts takes the test that so many are as
claimed (`estimates.at_least`). Without a contrast to look at, a claim is undecided. Contrasts
without a rate (a base of 0) are left out.

An error *hardly changes* if it falls by at most 1 % of the base's value: under `continuation_min`,
this sets the four falls that the paper names (1.25 % and more) apart from those it does not mention
(0.79 % and less).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from alignment_calibration.calibration.estimates import at_least, holm
from alignment_calibration.calibration.resampling import significant
from alignment_calibration.contract.pairs import ESTIMATES, RATES_BY_METHOD
from alignment_calibration.pairs.rate_tests import one_sided

#: The largest fall of an error, as a fraction of the base's, that is called hardly any change. It
#: was chosen after the published numbers had been seen: the paper names none.
HARDLY = 0.01

#: Kendall's W from which on rankings are called nearly the same, chosen after the fact as well;
#: fewer than 3 pairs decide nothing.
NEARLY_SAME = 0.9

#: The metrics by which claims about SCE are decided: the published one, and Nixon et al.'s (2019).
SCE_METRICS = ("sce_ovr", "sce")

Verdict = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Nothing:
    """Why there is nothing to decide a claim by."""

    reason: str


@dataclass(frozen=True)
class Sides:
    """How many contrasts are on which side of a threshold, a change rate."""

    threshold: float
    above: int
    below: int
    open: int


@dataclass(frozen=True)
class Agreement:
    """Kendall's W of the tasks' rankings of the pairs.

    `low` and `high` are the ends of its 95 % interval, None where the rates have none.
    """

    w: float
    tasks: int
    pairs: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Order:
    """In how many of the contrasts one rate is above another, and below, each by its own test."""

    contrasts: int
    above: int
    below: int


@dataclass(frozen=True)
class Decisive:
    """A contrast that speaks for a verdict, and its change rate.

    `low` and `high` are the ends of the rate's interval, None where it has none; `against` is the
    rate that it is compared with, if it is.
    """

    pair: str
    task: str
    rate: float
    low: float | None = None
    high: float | None = None
    against: float | None = None


@dataclass(frozen=True)
class Finding:
    """What one claim comes to.

    Attributes:
        contrasts: how many were looked at.
        evidence: the numbers behind the verdict.
        decisive: the contrasts that speak for the verdict (for `undecided`: those open).
    """

    verdict: Verdict
    contrasts: int
    evidence: Nothing | Sides | Agreement | Order
    decisive: tuple[Decisive, ...] = ()


def sides(contrasts: pd.DataFrame, threshold: float) -> pd.Series:
    """For every contrast whether its rate is `above` the threshold, `below` it, or `open`."""
    p_above, p_below = one_sided(contrasts, threshold)
    untested, rates = contrasts["degrees"].isna(), contrasts["change_rate"]
    side = pd.Series("open", index=contrasts.index)
    side[significant(p_above) | (untested & (rates > threshold))] = "above"
    side[significant(holm(p_below)) | (untested & (rates < threshold))] = "below"
    return side


@dataclass(frozen=True)
class Evidence:
    """What claims are decided by.

    Attributes:
        contrasts: rows of CHANGES with the columns of ESTIMATES, which are missing where rates are
            taken at their word.
        by_method: rows of RATES_BY_METHOD; none where rates are taken at their word.
        agreement: rows of RANK_AGREEMENT.
    """

    contrasts: pd.DataFrame
    by_method: pd.DataFrame
    agreement: pd.DataFrame

    def under(self, method: str, metric: str) -> pd.DataFrame:
        """The contrasts under one method that have a rate of one metric."""
        chosen = (self.contrasts["method"] == method) & (self.contrasts["metric"] == metric)
        return self.contrasts[chosen & self.contrasts["change_rate"].notna()]


def ece_falls(evidence: Evidence, _: str) -> Finding:
    """Claim 1: under continuation_sum some contrast's ECE is below 0."""
    return _some_below(evidence.under("continuation_sum", "ece"), 0)


def sce_where_ece_falls(evidence: Evidence, metric: str) -> Finding:
    """Claim 2: in each contrast of claim 1 SCE is above −1 %."""
    ece = evidence.under("continuation_sum", "ece")
    falling = set(_names(ece[sides(ece, 0) == "below"]))
    if not falling:
        return _nothing("ECE clearly falls in no contrast.")
    contrasts = evidence.under("continuation_sum", metric)
    return _every_above(contrasts[[name in falling for name in _names(contrasts)]], -HARDLY)


def sce_under_continuation_sum(evidence: Evidence, metric: str) -> Finding:
    """Claim 3: under continuation_sum every contrast's SCE is above −1 %."""
    return _every_above(evidence.under("continuation_sum", metric), -HARDLY)


def sce_under_continuation_min(evidence: Evidence, metric: str) -> Finding:
    """Claim 4: under continuation_min some contrast's SCE is below −1 %."""
    return _some_below(evidence.under("continuation_min", metric), -HARDLY)


def sce_under_choice(evidence: Evidence, metric: str) -> Finding:
    """Claim 5: under choice every contrast's SCE is above 0."""
    return _every_above(evidence.under("choice", metric), 0)


def ranking_across_tasks(evidence: Evidence, metric: str) -> Finding:
    """Claim 6: Kendall's W over tasks of the pairs' choice-SCE change rates is at least 0.9.

    It takes two tasks, and three pairs with a rate on all of them. Where questions were resampled,
    the claim is undecided if the 95 % interval of W (`ranks.w_interval`) holds 0.9.
    """
    contrasts = evidence.under("choice", metric)
    if contrasts.empty:
        return _nothing("Not measured.")
    of_choice = evidence.agreement["method"] == "choice"
    row = evidence.agreement[of_choice & (evidence.agreement["metric"] == metric)].iloc[0]
    tasks, pairs = int(row["tasks"]), int(row["pairs"])
    if tasks < 2 or pairs < 3:
        reason = Nothing("Takes two tasks and three pairs on all of them.")
        return Finding("undecided", len(contrasts), reason)
    w, low, high = (float(row[name]) for name in ("kendall_w", "ci_low", "ci_high"))
    found = Agreement(w, tasks, pairs)
    if not np.isnan(low):
        found = Agreement(w, tasks, pairs, low, high)
    elif contrasts["change_ci_low"].isna().all():
        low = high = w
    verdict: Verdict = "undecided"
    if low >= NEARLY_SAME:
        verdict = "holds"
    elif high < NEARLY_SAME:
        verdict = "fails"
    return Finding(verdict, tasks * pairs, found)


def choice_against_continuation_sum(evidence: Evidence, metric: str) -> Finding:
    """Claim 7: in most contrasts the SCE rate under choice is above that under continuation_sum.

    Holds if it is in more than half of them, fails if it is below in half of them: tests that so
    many are, from one-sided tests of the two rates, paired question by question.
    """
    keys = ["pair", "task"]
    of_choice, of_sum = (
        evidence.under(method, metric)[[*keys, "change_rate"]]
        for method in ("choice", "continuation_sum")
    )
    both = of_choice.merge(of_sum, on=keys, suffixes=("_choice", "_sum"))
    if both.empty:
        return _nothing("No contrast was measured under both methods.")
    # The pairing is that of `rates_by_method`: the sums' rate against that of the letters.
    paired = evidence.by_method[
        (evidence.by_method["method"] == "continuation_sum")
        & (evidence.by_method["other_method"] == "choice")
        & (evidence.by_method["metric"] == metric)
    ]
    tested = both.merge(paired[[*keys, "p_above", "p_below"]], on=keys, how="left")
    difference = (both["change_rate_choice"] - both["change_rate_sum"]).to_numpy()
    if evidence.by_method.empty:  # at their word
        p_above, p_below = (np.where(so, 0.0, 1.0) for so in (difference > 0, difference < 0))
    else:
        p_above, p_below = (
            tested[column].fillna(1.0).to_numpy(dtype=np.float64)
            for column in ("p_below", "p_above")
        )
    count = len(both)
    verdict: Verdict = "undecided"
    if significant(at_least(p_above, count // 2 + 1)):
        verdict = "holds"
    elif significant(at_least(p_below, (count + 1) // 2)):
        verdict = "fails"
    above, below = significant(p_above), significant(p_below)
    decisive = tuple(
        Decisive(
            row["pair"], row["task"], row["change_rate_choice"], against=row["change_rate_sum"]
        )
        for row in both[below].to_dict("records")
    )
    return Finding(verdict, count, Order(count, int(above.sum()), int(below.sum())), decisive)


#: The claims in the paper's order, with what is claimed.
CLAIMS: tuple[tuple[str, Callable[[Evidence, str], Finding]], ...] = (
    ("Under continuation_sum, alignment lowers ECE for some pair × task.", ece_falls),
    ("On those, SCE rises or hardly changes.", sce_where_ece_falls),
    (
        "Under continuation_sum, SCE rises or hardly changes everywhere.",
        sce_under_continuation_sum,
    ),
    ("Under continuation_min, SCE falls for some pair × task.", sce_under_continuation_min),
    ("Under choice, SCE rises for every pair × task.", sce_under_choice),
    (
        "By change rate of SCE under choice, pairs rank (nearly) the same on all tasks.",
        ranking_across_tasks,
    ),
    (
        "Change rates of SCE under choice exceed those under continuation_sum.",
        choice_against_continuation_sum,
    ),
)


def evaluate(
    changes: pd.DataFrame,
    agreement: pd.DataFrame,
    estimates: pd.DataFrame | None = None,
    by_method: pd.DataFrame | None = None,
) -> dict[tuple[int, str], Finding]:
    """What each claim comes to by each of SCE_METRICS.

    Args:
        changes: rows of CHANGES; intervals may be missing.
        agreement: rows of RANK_AGREEMENT, of the same changes.
        estimates, by_method: rows of ESTIMATES and RATES_BY_METHOD; None if rates are to be taken
            at their word.

    Returns:
        By number of the claim (from 1) and metric.
    """
    if estimates is None:
        estimates = pd.DataFrame(columns=ESTIMATES.names, dtype=np.float64)
        estimates = estimates.astype(dict.fromkeys(ESTIMATES.names[:4], object))
    if by_method is None:
        by_method = pd.DataFrame(columns=RATES_BY_METHOD.names)
    contrasts = changes.merge(estimates, on=ESTIMATES.names[:4], how="left", validate="1:1")
    evidence = Evidence(contrasts, by_method, agreement)
    return {
        (number, metric): evaluated(evidence, metric)
        for number, (_, evaluated) in enumerate(CLAIMS, start=1)
        for metric in SCE_METRICS
    }


def _every_above(contrasts: pd.DataFrame, threshold: float) -> Finding:
    return _decided(contrasts, threshold, above="holds", below="fails")


def _some_below(contrasts: pd.DataFrame, threshold: float) -> Finding:
    return _decided(contrasts, threshold, above="fails", below="holds")


def _decided(contrasts: pd.DataFrame, threshold: float, above: Verdict, below: Verdict) -> Finding:
    """`below` if a contrast is below the threshold, `above` if all are above, else undecided.

    Decisive are those below; if all are above, the lowest; else those open.
    """
    if contrasts.empty:
        return _nothing("Not measured.")
    side = sides(contrasts, threshold)
    verdict: Verdict
    if (side == "below").any():
        verdict, decisive = below, contrasts[side == "below"]
    elif (side == "above").all():
        verdict, decisive = above, contrasts.nsmallest(1, "change_rate")
    else:
        verdict, decisive = "undecided", contrasts[side == "open"]
    counts = (int((side == name).sum()) for name in ("above", "below", "open"))
    return Finding(
        verdict, len(contrasts), Sides(threshold, *counts), tuple(_decisive_contrasts(decisive))
    )


def _decisive_contrasts(contrasts: pd.DataFrame) -> list[Decisive]:
    """Contrasts with their rates, lowest first, and their intervals where they have one."""
    found = []
    for row in contrasts.sort_values("change_rate").to_dict("records"):
        low, high = (
            None if np.isnan(row[end]) else row[end] for end in ("rate_ci_low", "rate_ci_high")
        )
        found.append(Decisive(row["pair"], row["task"], row["change_rate"], low, high))
    return found


def _nothing(reason: str) -> Finding:
    return Finding("undecided", 0, Nothing(reason))


def _names(contrasts: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(contrasts["pair"], contrasts["task"], strict=True))
