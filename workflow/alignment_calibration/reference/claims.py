"""What the reference study claims (Oh & Hwang 2024), put to the changes of a study.

A *cell* is a pair × task. Of each cell the change rate of a metric is looked at, with its 95 %
interval; where there is none (the published numbers) the rate itself is taken at its word. Then a
cell is

- *above* a threshold if its whole interval is;
- *below* it if its whole interval is, and, where there is a q-value, that is under 0.05: since one
  fall among many cells decides a claim, falls are counted at a false discovery rate of 5 %;
- *open* otherwise.

A claim about every cell holds if every cell is as claimed, fails if one is clearly not, and is
undecided otherwise; a claim that some cell is so holds if one clearly is, fails if all clearly are
not, and is undecided otherwise. Without a cell to look at, a claim is undecided. Cells without a
rate (a base of 0) are left out.

An error *hardly changes* if it falls by at most 1 % of the base's value: under `continuation_min`,
this sets the four falls that the paper names (1.25 % and more) apart from those it does not mention
(0.79 % and less).
"""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Any, Literal

import numpy as np
import pandas as pd

from alignment_calibration.calibration.predictions import Floats
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.pairs.ranks import kendall_w
from alignment_calibration.report.tables import (
    Section,
    Table,
    paragraph,
    percent,
)

#: The largest fall of an error, as a fraction of the base's, that is called hardly any change.
HARDLY = 0.01

#: Kendall's W from which on rankings are called nearly the same; fewer than 3 pairs decide nothing.
NEARLY_SAME = 0.9

#: Rates are drawn this often for the interval of W.
DRAWS = 500

#: 97.5 % quantile of the standard normal distribution.
NORMAL_97_5 = 1.959964

#: Cells that the table for people names; the CSV names all.
NAMED = 6

#: The readings of SCE that claims are put to: the published one, and Nixon et al.'s (2019).
READINGS = ("sce_ovr", "sce")

Verdict = Literal["holds", "fails", "undecided"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one claim comes to.

    Attributes:
        cells: how many cells were looked at.
        evidence: numbers behind the verdict, for people.
        decisive: the cells that speak for the verdict (for `undecided`: those open), each with its
            rate.
    """

    verdict: Verdict
    cells: int
    evidence: str
    decisive: tuple[str, ...] = ()


def sides(cells: pd.DataFrame, threshold: float) -> pd.Series:
    """For every cell whether its rate is `above` the threshold, `below` it, or `open`."""
    low = cells["rate_ci_low"].fillna(cells["change_rate"])
    high = cells["rate_ci_high"].fillna(cells["change_rate"])
    found = cells["q_value"].isna() | (cells["q_value"] < SIGNIFICANCE)
    side = pd.Series("open", index=cells.index)
    side[low > threshold] = "above"
    side[(high < threshold) & found] = "below"
    return side


def ece_falls(changes: pd.DataFrame, _: str) -> Finding:
    """Claim 1: under continuation_sum some cell's ECE is below 0."""
    return _some_below(_cells(changes, "continuation_sum", "ece"), 0)


def sce_where_ece_falls(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 2: in each cell of claim 1 SCE is above −1 %."""
    ece = _cells(changes, "continuation_sum", "ece")
    falling = set(_names(ece[sides(ece, 0) == "below"]))
    cells = _cells(changes, "continuation_sum", reading)
    cells = cells[[name in falling for name in _names(cells)]]
    if not falling:
        return Finding("undecided", 0, "ECE clearly falls in no cell.")
    return _every_above(cells, -HARDLY)


def sce_under_continuation_sum(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 3: under continuation_sum every cell's SCE is above −1 %."""
    return _every_above(_cells(changes, "continuation_sum", reading), -HARDLY)


def sce_under_continuation_min(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 4: under continuation_min some cell's SCE is below −1 %."""
    return _some_below(_cells(changes, "continuation_min", reading), -HARDLY)


def sce_under_choice(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 5: under choice every cell's SCE is above 0."""
    return _every_above(_cells(changes, "choice", reading), 0)


def ranking_across_tasks(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 6: Kendall's W over tasks of the pairs' choice-SCE change rates is at least 0.9.

    It takes two tasks, and three pairs with a rate on all of them. Where rates have intervals, the
    claim is undecided if the 95 % interval of W (`w_interval`) holds 0.9.
    """
    cells = _cells(changes, "choice", reading)
    if cells.empty:
        return Finding("undecided", 0, "Not measured.")
    rates, low, high = (
        cells.pivot(index="task", columns="pair", values=name).dropna(axis="columns")
        for name in ("change_rate", "rate_ci_low", "rate_ci_high")
    )
    tasks, pairs = rates.shape
    if tasks < 2 or pairs < 3:
        return Finding("undecided", len(cells), "Takes two tasks and three pairs on all of them.")
    w = kendall_w(rates.to_numpy())
    evidence = f"Kendall's W = {w:.3f} over {tasks} tasks and {pairs} pairs"
    ends = (w, w)
    if low.shape == high.shape == rates.shape:
        ends = w_interval(rates.to_numpy(), (high - low).to_numpy())
        evidence += f", 95 % interval {ends[0]:.3f} to {ends[1]:.3f}"
    verdict: Verdict = "undecided"
    if ends[0] >= NEARLY_SAME:
        verdict = "holds"
    elif ends[1] < NEARLY_SAME:
        verdict = "fails"
    return Finding(verdict, tasks * pairs, evidence + ".")


def w_interval(rates: Floats, widths: Floats) -> tuple[float, float]:
    """95 % interval of Kendall's W of rates that have 95 % intervals of these widths.

    Rates are drawn anew, normally and independently, around those at hand. The added noise makes
    rankings differ, so W of the draws is too low: their 2.5 % quantile is a cautious lower end, and
    turned round at W (as in a basic bootstrap interval) a cautious upper end.

    Args:
        rates: shape (tasks, pairs).
        widths: shape (tasks, pairs).
    """
    random = np.random.default_rng(0)
    draws = random.normal(rates, widths / (2 * NORMAL_97_5), size=(DRAWS, *rates.shape))
    low = float(np.quantile([kendall_w(draw) for draw in draws], 0.025))
    return low, min(1.0, 2 * kendall_w(rates) - low)


def choice_against_continuation_sum(changes: pd.DataFrame, reading: str) -> Finding:
    """Claim 7: in most cells the SCE rate under choice is above that under continuation_sum.

    Holds if it clearly is in more than half of the cells, fails if it clearly is not in half.

    One rate is above another if its whole interval is above the other's: a cautious criterion,
    since the intervals come from the same questions.
    """
    keys = ["pair", "task"]
    choice = _cells(changes, "choice", reading)
    both = choice.merge(
        _cells(changes, "continuation_sum", reading), on=keys, suffixes=("_choice", "_sum")
    )
    if both.empty:
        return Finding("undecided", 0, "No cell was measured under both methods.")
    ends = {
        (end, method): both[f"rate_ci_{end}_{method}"].fillna(both[f"change_rate_{method}"])
        for end in ("low", "high")
        for method in ("choice", "sum")
    }
    above = ends["low", "choice"] > ends["high", "sum"]
    below = ends["high", "choice"] < ends["low", "sum"]
    verdict: Verdict = "undecided"
    if above.mean() > 0.5:
        verdict = "holds"
    elif below.mean() >= 0.5:
        verdict = "fails"
    evidence = f"Higher in {above.sum()} of {len(both)} cells, lower in {below.sum()}"
    decisive = tuple(
        f"{row['pair']} × {row['task']}: {percent(row['change_rate_choice'], sign=True)} % against "
        f"{percent(row['change_rate_sum'], sign=True)} %"
        for row in both[below].to_dict("records")
    )
    return Finding(verdict, len(both), _with_cells(evidence, decisive), decisive)


#: The claims in the paper's order, with what is claimed.
CLAIMS: tuple[tuple[str, Callable[[pd.DataFrame, str], Finding]], ...] = (
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


def evaluate(changes: pd.DataFrame) -> pd.DataFrame:
    """All claims under both readings of SCE.

    Returns:
        Columns claim (its number), statement, metric (the reading), verdict, cells, evidence and
        decisive (cells joined by "; ").
    """
    rows = []
    for number, (statement, evaluated) in enumerate(CLAIMS, start=1):
        for reading in READINGS:
            finding = evaluated(changes, reading)
            rows.append(
                {"claim": number, "statement": statement, "metric": reading}
                | dataclasses.asdict(finding)
                | {"decisive": "; ".join(finding.decisive)}
            )
    return pd.DataFrame(rows)


def claims_table(changes: pd.DataFrame) -> Table:
    """The claims, the two readings of SCE side by side."""
    claims = evaluate(changes)
    found = {(row["claim"], row["metric"]): row for row in claims.to_dict("records")}
    section = Section(
        caption="Claims of the reference study.",
        align=("r", paragraph(0.2), *(("l", paragraph(0.22)) * len(READINGS))),
        header=("", "claim", *(text for r in READINGS for text in (r, f"numbers ({r})"))),
        rows=tuple(
            (
                str(number),
                statement,
                *(found[number, r][name] for r in READINGS for name in ("verdict", "evidence")),
            )
            for number, (statement, _) in enumerate(CLAIMS, start=1)
        ),
    )
    intervals = changes["rate_ci_low"].notna().any()
    notes = (
        "A cell is a pair × task. sce_ovr is the SCE that was published, sce that of Nixon et al. "
        "(2019).",
        "Rates count by their 95 % intervals, falls also at a false discovery rate of 5 %."
        if intervals
        else "These changes have no intervals: their rates are taken at their word.",
        f"An error hardly changes if it falls by at most {percent(HARDLY, 0)} % of its base.",
        "For claim 4 the paper names −1.25, −2.67, −6.08 and −6.28 % for Llama-3-8B and Mistral-7B "
        "on HellaSwag and PIQA. Its published figures assign these task by task (HellaSwag: −1.25 "
        "and −2.67 %, PIQA: −6.08 and −6.28 %), not in the order of its sentence.",
    )
    return Table("The claims of the reference study", claims, (section,), notes)


def _cells(changes: pd.DataFrame, method: str, metric: str) -> pd.DataFrame:
    """The cells of one method and metric that have a rate."""
    chosen = (changes["method"] == method) & (changes["metric"] == metric)
    return changes[chosen & changes["change_rate"].notna()]


def _every_above(cells: pd.DataFrame, threshold: float) -> Finding:
    return _decided(cells, threshold, above="holds", below="fails")


def _some_below(cells: pd.DataFrame, threshold: float) -> Finding:
    return _decided(cells, threshold, above="fails", below="holds")


def _decided(cells: pd.DataFrame, threshold: float, above: Verdict, below: Verdict) -> Finding:
    """`below` if a cell is below the threshold, `above` if all are above, else undecided."""
    if cells.empty:
        return Finding("undecided", 0, "Not measured.")
    side = sides(cells, threshold)
    limit = f"{percent(threshold, 0)} %"
    counts = f"{(side == 'above').sum()} of {len(cells)} cells above {limit}"
    if (side == "below").any():
        verdict, decisive = below, cells[side == "below"]
        counts += f", {len(decisive)} below"
    elif (side == "above").all():
        verdict, decisive = above, cells.nsmallest(1, "change_rate")
        counts += "; lowest"
    else:
        verdict, decisive = "undecided", cells[side == "open"]
        counts += f", none below, {len(decisive)} open"
    texts = tuple(map(_cell, decisive.sort_values("change_rate").to_dict("records")))
    return Finding(verdict, len(cells), _with_cells(counts, texts), texts)


def _with_cells(text: str, cells: tuple[str, ...]) -> str:
    """A sentence with the first few cells behind it."""
    if not cells:
        return text + "."
    more = f"; and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return f"{text}: {'; '.join(cells[:NAMED])}{more}."


def _cell(row: dict[Hashable, Any]) -> str:
    """A cell and its rate, with its interval if there is one."""
    rate, low, high = row["change_rate"], row["rate_ci_low"], row["rate_ci_high"]
    text = f"{row['pair']} × {row['task']}: {percent(rate, sign=True)} %"
    if pd.isna(low) or pd.isna(high):
        return text
    return f"{text} [{percent(low)}, {percent(high)}]"


def _names(cells: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(cells["pair"], cells["task"], strict=True))
