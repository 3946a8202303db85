"""What figures and tables read: the tidy files of a study, and the published changes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from alignment_calibration.contract import TIDY
from alignment_calibration.files.frames import read_frame
from alignment_calibration.reference.published import read_published
from alignment_calibration.report.registry import (
    AS_PUBLISHED,
    CHANGES,
    MOST_PAIRS,
    TOGETHER,
    Exhibit,
)
from alignment_calibration.study.settings import Primary

Frames = Mapping[str, pd.DataFrame]


def read_tidy(files: Mapping[str, str | Path]) -> dict[str, pd.DataFrame]:
    """Read tidy files by name (`contract.TIDY`), and the published changes (AS_PUBLISHED).

    Raises:
        UserError: if a file is missing, damaged or has other columns.
    """
    return {
        name: read_published(path) if name == AS_PUBLISHED else read_frame(path, TIDY[name])
        for name, path in files.items()
    }


def shown_first(exhibit: Exhibit, primary: Primary) -> dict[str, Primary]:
    """The keyword arguments of its functions: the primary analysis, if it shows that first."""
    return {"primary": primary} if exhibit.primary else {}


def frames_of(
    exhibit: Exhibit, frames: Frames, values: Sequence[str] = ()
) -> list[pd.DataFrame | None]:
    """The frames that a figure or table reads, in its order; None for an optional one not there.

    Args:
        values: of the columns `exhibit.each`, then the methods of a part if it is made in parts
            (`registry.pages`): only rows that have them are kept.
    """
    found: list[pd.DataFrame | None] = []
    for name in exhibit.reads:
        if name not in frames and name in exhibit.optional:
            found.append(None)
            continue
        frame = frames[name]
        # Without parts there is no value more.
        for column, value in zip((*exhibit.each, "method"), values, strict=False):
            frame = frame[frame[column].isin(value.split(TOGETHER))]
        found.append(frame)
    return found


def head_of(exhibit: Exhibit, frames: Frames, primary: Primary) -> tuple[Frames, list[str]]:
    """What a figure or table shows one by one, and of many pairs the sentence that says which.

    Args:
        frames: all that were read (`registry.reads_of`).
        primary: the analysis by which changes are large.

    Returns:
        The frames, with fewer rows if there are more than MOST_PAIRS pairs; a note, or none.
    """
    if not exhibit.of_some:
        return frames, []
    pairs = frames[CHANGES]["pair"].nunique()
    if pairs <= MOST_PAIRS:
        return frames, []
    head, said = _HEADS[exhibit.of_many](frames, primary)
    return head, [f"Of {pairs} pairs, {said}."]


def largest_changes(changes: pd.DataFrame, primary: Primary) -> list[str]:
    """The MOST_PAIRS pairs whose change, in the mean over tasks, is farthest from 0, in order.

    Args:
        changes: rows with `pair`, `method`, `metric`, `change`; only the primary analysis counts.
    """
    means = changes[primary.holds(changes)].groupby("pair")["change"].mean().abs()
    return list(means.dropna().sort_values(ascending=False, kind="stable").index[:MOST_PAIRS])


def _largest(frames: Frames, primary: Primary) -> tuple[Frames, str]:
    """Rows of the pairs with the largest changes."""
    pairs = largest_changes(frames[CHANGES], primary)
    return {
        name: frame[frame["pair"].isin(pairs)] if "pair" in frame else frame
        for name, frame in frames.items()
    }, (
        f"those {len(pairs)} are shown whose change of {primary.metric} under {primary.method} is "
        "the largest (up or down, mean over tasks); means, sentences and the CSV files are of all"
    )


def _first(frames: Frames, _: Primary) -> tuple[Frames, str]:
    """Rows of the first ranks."""
    changes = frames[CHANGES]
    return {
        **frames,
        CHANGES: changes[changes["rank"].le(MOST_PAIRS).fillna(False)],
    }, f"the first {MOST_PAIRS} ranks are shown; the CSV file is of all"


_HEADS: Mapping[str, Callable[[Frames, Primary], tuple[Frames, str]]] = {
    "largest": _largest,
    "first": _first,
}
