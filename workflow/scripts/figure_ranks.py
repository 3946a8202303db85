"""Bind the figure `ranks` to the package."""

from alignment_calibration.contract.pairs import CHANGES, RANK_PROBABILITIES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import ranks
from alignment_calibration.report.figures.style import write_figure

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        changes_file, *more = snakemake.input.tidy
        changes = read_frame(changes_file, CHANGES)
        probabilities = read_frame(more[0], RANK_PROBABILITIES) if more else None
        figure = ranks.draw(changes, probabilities)
        write_figure(figure, snakemake.output.pdf, snakemake.output.png)
        numbers = ranks.numbers(changes, probabilities)
        write_caption(snakemake.input.caption, numbers, snakemake.output.caption)
