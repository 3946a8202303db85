"""Numbers as the fields of a table show them, and names in the order of its rows and columns."""

from collections.abc import Iterable

import pandas as pd

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.report.tables.table import MISSING, Bold


def in_order(values: Iterable[str], order: Iterable[str] = ()) -> list[str]:
    """The different values: those named in `order` as there, then the others by name."""
    known = {value: place for place, value in enumerate(order)}
    return sorted(set(values), key=lambda value: (known.get(value, len(known)), value))


def rate_cell(rate: float, low: float, high: float, q_value: float) -> str:
    """A change rate in percent with its interval, bold where significant."""
    if pd.isna(rate):
        return MISSING
    text = percent(rate, sign=True)
    if not (pd.isna(low) or pd.isna(high)):
        digits = decimals(rate)
        text += f" [{percent(low, digits)}, {percent(high, digits)}]"
    return Bold(text) if q_value < SIGNIFICANCE else text


def value_cell(metric: str, value: float, low: float, high: float) -> str:
    """A metric with its interval: in percent, or in nats if it is."""
    if pd.isna(value):
        return MISSING

    def text(number: float) -> str:
        if METRICS[metric].unit == "nats":
            return f"{number:.3f}".replace("-", "−")
        return percent(number, 1)

    interval = "" if pd.isna(low) or pd.isna(high) else f" [{text(low)}, {text(high)}]"
    return text(value) + interval


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
