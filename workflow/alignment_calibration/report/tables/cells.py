"""Numbers as the fields of a table show them, and names in the order of its rows and columns."""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.resampling import significant
from alignment_calibration.report.tables.table import MISSING, Bold
from alignment_calibration.study.settings import Primary


def in_order(values: Iterable[str], order: Iterable[str] = ()) -> list[str]:
    """The different values: those named in `order` as there, then the others by name."""
    known = {value: place for place, value in enumerate(dict.fromkeys(order))}
    return sorted(set(values), key=lambda value: (known.get(value, len(known)), value))


def primary_first(rows: pd.DataFrame, primary: Primary) -> pd.DataFrame:
    """The same rows, those of the primary analysis before the others."""
    return rows.iloc[np.argsort(~primary.holds(rows), kind="stable")]


def primary_note(rows: pd.DataFrame, primary: Primary) -> list[str]:
    """What to say where the primary analysis stands first; nothing where it is not shown."""
    if not primary.holds(rows).any():
        return []
    return [
        f"{primary.metric} under {primary.method}, the primary analysis, stands first; all else is "
        "secondary."
    ]


def rate_cell(
    rate: float, low: float, high: float, q_value: float = np.nan, debiased: float = np.nan
) -> str:
    """A change rate in percent with its interval, bold where significant.

    Args:
        rate: as a fraction.
        low, high: ends of its interval; without `low` there is none, without `high` no upper end.
        q_value: of the change.
        debiased: rate of the errors less their estimated bias, shown if the interval leaves out
            the rate; NaN where that of the base is not above 0.
    """
    if pd.isna(rate):
        return MISSING
    text = percent(rate, sign=True)
    if not pd.isna(low):
        digits = decimals(rate)
        if rate < low or rate > high:
            shown = MISSING if pd.isna(debiased) else percent(debiased, digits, sign=True)
            text += f" (debiased {shown})"
        text += f" {rate_interval(low, high, digits)}"
    return Bold(text) if significant(q_value) else text


def rate_interval(low: float, high: float, digits: int | None = None) -> str:
    """The interval of a change rate in percent; NaN stands for an upper end that is not there."""
    if pd.isna(high):
        return f"[≥ {percent(low, digits, sign=True)}]"
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def value_cell(metric: str, value: float, low: float, high: float, debiased: float = np.nan) -> str:
    """A metric with its interval: in percent, or in nats if it is.

    `debiased`, the value less its estimated bias, is shown if the interval leaves out the value.
    """
    if pd.isna(value):
        return MISSING

    def text(number: float) -> str:
        if METRICS[metric].unit == "nats":
            return f"{number:.3f}".replace("-", "−")
        return percent(number, 1)

    shown = text(value)
    if not pd.isna(debiased) and not low <= value <= high:
        shown += f" (debiased {text(debiased)})"
    return shown if pd.isna(low) or pd.isna(high) else f"{shown} [{text(low)}, {text(high)}]"


def mean_cell(row: Mapping[Hashable, Any]) -> str:
    """A mean change with its interval, from a row of EFFECTS, PAIR_EFFECTS or MAP_EFFECTS."""
    return value_cell(
        str(row["metric"]), row["mean_change"], row["ci_low"], row["ci_high"], row["mean_debiased"]
    )


def percent(fraction: float, digits: int | None = None, *, sign: bool = False) -> str:
    """A fraction as a number in percent, without the percent sign; a minus is U+2212."""
    digits = decimals(fraction) if digits is None else digits
    text = f"{100 * fraction:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def decimals(fraction: float) -> int:
    """Decimals that show a fraction in percent with about three significant digits."""
    size = abs(100 * fraction)
    return 2 if size < 10 else 1 if size < 100 else 0
