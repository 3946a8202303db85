"""Bind the figure `multiverse` to the package."""

from alignment_calibration.contract.pairs import MULTIVERSE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import multiverse
from alignment_calibration.report.figures.style import write_figure

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        tidy = read_frame(snakemake.input.tidy[0], MULTIVERSE)
        write_figure(multiverse.draw(tidy), snakemake.output.pdf, snakemake.output.png)
        write_caption(snakemake.input.caption, multiverse.numbers(tidy), snakemake.output.caption)
