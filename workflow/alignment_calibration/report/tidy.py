"""What figures and tables read: the tidy files of a study, and the published changes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from alignment_calibration.contract import TIDY
from alignment_calibration.files.frames import read_frame
from alignment_calibration.reference.published import read_published
from alignment_calibration.report.registry import AS_PUBLISHED, Exhibit
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
        values: of the columns `exhibit.each`: only rows that have them are kept.
    """
    found: list[pd.DataFrame | None] = []
    for name in exhibit.reads:
        if name not in frames and name in exhibit.optional:
            found.append(None)
            continue
        frame = frames[name]
        for column, value in zip(exhibit.each, values, strict=True):
            frame = frame[frame[column] == value]
        found.append(frame)
    return found
