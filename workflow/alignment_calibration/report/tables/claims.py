"""The claims of the reference study, put to a study."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.reference.claims import (
    CLAIMS,
    HARDLY,
    NEARLY_SAME,
    SCE_METRICS,
    Agreement,
    Decisive,
    Finding,
    Nothing,
    Order,
    Sides,
    evaluate,
)
from alignment_calibration.report.tables.cells import percent, rate_interval
from alignment_calibration.report.tables.table import Section, Table, paragraph

#: Contrasts that the table for people names; the CSV names all.
NAMED = 6


def table(
    changes: pd.DataFrame,
    agreement: pd.DataFrame,
    estimates: pd.DataFrame | None = None,
    by_method: pd.DataFrame | None = None,
) -> Table:
    """The claims, with the SCE that was published and Nixon et al.'s side by side.

    Args:
        changes: rows of CHANGES; intervals may be missing.
        agreement: rows of RANK_AGREEMENT.
        estimates, by_method: rows of ESTIMATES and of RATES_BY_METHOD; None for the published
            study.
    """
    found = evaluate(changes, agreement, estimates, by_method)
    data = pd.DataFrame(
        {
            "claim": number,
            "statement": CLAIMS[number - 1][0],
            "metric": metric,
            "verdict": finding.verdict,
            "contrasts": finding.contrasts,
            "evidence": _evidence(finding),
            "decisive": "; ".join(map(_contrast, finding.decisive)),
        }
        for (number, metric), finding in found.items()
    )
    untested = {
        number: _evidence(found[number, SCE_METRICS[0]])
        for number in range(1, len(CLAIMS) + 1)
        if all(isinstance(found[number, m].evidence, Nothing) for m in SCE_METRICS)
    }
    section = Section(
        caption="Claims of the reference study.",
        align=("r", paragraph(0.2), *(("l", paragraph(0.22)) * len(SCE_METRICS))),
        header=("", "claim", *(text for m in SCE_METRICS for text in (m, f"numbers ({m})"))),
        rows=tuple(
            (
                str(number),
                statement,
                *(
                    text
                    for metric in SCE_METRICS
                    for finding in [found[number, metric]]
                    for text in (finding.verdict, _evidence(finding))
                ),
            )
            for number, (statement, _) in enumerate(CLAIMS, start=1)
            if number not in untested
        ),
    )
    notes = (
        "A contrast is a pair × task. sce_ovr is the SCE that was published, sce that of Nixon et "
        "al. (2019).",
        f"Rates count by one-sided tests at {percent(SIGNIFICANCE, 0)} %, falls after Holm's "
        "correction over the contrasts of a claim; in brackets their two-sided 95 % intervals. "
        "Claim 7 takes the test that more than half of the contrasts are higher, from tests of the "
        "two rates on the same questions, and the interval of W comes from resampled questions."
        if estimates is not None
        else "These changes have no intervals: their rates are taken at their word.",
        f"An error hardly changes if it falls by at most {percent(HARDLY, 0)} % of its base, and "
        f"rankings are nearly the same from W = {NEARLY_SAME} on: thresholds chosen after the "
        "published numbers had been seen.",
        *_left_out(untested),
        "For claim 4 the paper names −1.25, −2.67, −6.08 and −6.28 % for Llama-3-8B and Mistral-7B "
        "on HellaSwag and PIQA. Its published figures assign these task by task (HellaSwag: −1.25 "
        "and −2.67 %, PIQA: −6.08 and −6.28 %), not in the order of its sentence.",
    )
    return Table("The claims of the reference study", data, (section,), notes)


def _left_out(untested: Mapping[int, str]) -> list[str]:
    """A sentence on the claims that nothing can be said of, if there are any."""
    if not untested:
        return []
    reasons = "; ".join(f"{number} ({text.rstrip('.')})" for number, text in untested.items())
    return [f"Left out, since this study has nothing to decide them by: {reasons}."]


def _evidence(finding: Finding) -> str:
    """The numbers behind a verdict as a sentence, with the first few decisive contrasts."""
    match finding.evidence:
        case Nothing(reason):
            return reason
        case Sides(threshold, above, below, still_open):
            text = f"{above} of {finding.contrasts} contrasts above {percent(threshold, 0)} %"
            if below:
                text += f", {below} below"
            elif still_open:
                text += f", none below, {still_open} open"
            else:
                text += "; lowest"
        case Agreement(w, tasks, pairs, low, high):
            text = f"Kendall's W = {w:.3f} over {tasks} tasks and {pairs} pairs"
            if low is not None and high is not None:
                text += f", 95 % interval {low:.3f} to {high:.3f}"
        case Order(contrasts, above, below):
            text = f"Higher in {above} of {contrasts} contrasts, lower in {below}"
    if not finding.decisive:
        return text + "."
    more = len(finding.decisive) - NAMED
    named = "; ".join(map(_contrast, finding.decisive[:NAMED]))
    return f"{text}: {named}{f'; and {more} more' if more > 0 else ''}."


def _contrast(found: Decisive) -> str:
    """A contrast and its rate, with its interval if there is one, or the rate it is compared to."""
    text = f"{found.pair} × {found.task}: {percent(found.rate, sign=True)} %"
    if found.against is not None:
        return f"{text} against {percent(found.against, sign=True)} %"
    if found.low is None:
        return text
    return f"{text} {rate_interval(found.low, np.nan if found.high is None else found.high)}"
