"""The step `figures`: every figure of a study, with its caption."""

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures.style import write_figure
from alignment_calibration.report.html import write_with_caption
from alignment_calibration.report.leftovers import remove_leftovers
from alignment_calibration.report.registry import FIGURES
from alignment_calibration.report.tidy import frames_of, head_of, read_tidy, shown_first
from alignment_calibration.study.settings import Primary


def write_figures(
    pages: Sequence[Sequence[str]],
    tidy: Mapping[str, str | Path],
    primary: Primary,
    templates: Iterable[str | Path],
    pdfs: Sequence[str | Path],
    pngs: Sequence[str | Path],
    captions: Sequence[str | Path],
    htmls: Sequence[str | Path],
    notes: Sequence[str],
) -> None:
    """Draw all figures of one study, fill in their captions, and show each with its caption.

    Files of figures that the study has no more, or in other parts, are removed.

    Args:
        pages: of each figure its name, and the values that it is made for (`registry.pages`).
        tidy: what they read, by name.
        primary: the analysis that is shown first.
        templates: `{figure}.rst` of each figure.
        pdfs, pngs, captions, htmls: files to write, one per page.
        notes: what all captions say of the study as a whole.

    Raises:
        UserError: if a tidy file is missing, damaged or has other columns.
    """
    frames = read_tidy(tidy)
    template_of = {Path(template).stem: template for template in templates}
    outputs = zip(pages, pdfs, pngs, captions, htmls, strict=True)
    for (name, *values), pdf, png, caption, html in outputs:
        module = importlib.import_module(f"alignment_calibration.report.figures.{name}")
        exhibit = FIGURES[name]
        head, said = head_of(exhibit, frames, primary)
        first = shown_first(exhibit, primary)
        write_figure(module.draw(*frames_of(exhibit, head, values), **first), pdf, png)
        numbers = module.numbers(*frames_of(exhibit, frames, values), **first)
        write_caption(template_of[name], numbers, caption, [*said, *notes])
        write_with_caption(html, caption, png)
        print(png)
    for made in (pdfs, pngs, captions, htmls):
        remove_leftovers(Path(made[0]).parents[len(pages[0]) - 1], made, FIGURES)
