"""The step `tables`: every table of a study, in every format."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from alignment_calibration.report.leftovers import remove_leftovers
from alignment_calibration.report.registry import TABLES
from alignment_calibration.report.tables.formats import write_table
from alignment_calibration.report.tables.table import Table
from alignment_calibration.report.tidy import Frames, frames_of, head_of, read_tidy, shown_first
from alignment_calibration.study.settings import Primary


def write_tables(
    tidy: Mapping[str, str | Path],
    primary: Primary,
    outputs: Sequence[str | Path],
    notes: Iterable[str],
) -> None:
    """Write all tables of one study; those that it has no more are removed.

    Args:
        tidy: what they read, by name.
        primary: the analysis that is shown first.
        outputs: files to write, each named after its table and with the suffix of its format.
        notes: what all tables say of the study as a whole, after their own notes.

    Raises:
        UserError: if a tidy file is missing, damaged or has other columns.
    """
    frames = read_tidy(tidy)
    files: dict[str, list[Path]] = {}
    for output in map(Path, outputs):
        files.setdefault(output.stem, []).append(output)
    for name, formats in files.items():
        table = make_table(name, frames, primary)
        write_table(replace(table, notes=(*table.notes, *notes)), formats)
        print(name)
    remove_leftovers(Path(outputs[0]).parent, outputs, TABLES)


def make_table(name: str, frames: Frames, primary: Primary) -> Table:
    """The table of this name in the registry, of the frames that it reads.

    Of many pairs its sections show some and its notes say which; its data are of all.
    """
    module = importlib.import_module(f"alignment_calibration.report.tables.{name}")
    exhibit = TABLES[name]

    def of(given: Frames) -> Table:
        made: Table = module.table(*frames_of(exhibit, given), **shown_first(exhibit, primary))
        return made

    head, said = head_of(exhibit, frames, primary)
    whole = of(frames)
    return (
        replace(whole, sections=of(head).sections, notes=(*said, *whole.notes)) if said else whole
    )
