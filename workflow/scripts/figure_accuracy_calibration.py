"""Bind the figure `accuracy_calibration` to the package."""

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import accuracy_calibration
from alignment_calibration.report.figures.style import write_figure

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        tidy = read_frame(snakemake.input.tidy[0], CHANGES)
        write_figure(accuracy_calibration.draw(tidy), snakemake.output.pdf, snakemake.output.png)
        write_caption(
            snakemake.input.caption, accuracy_calibration.numbers(tidy), snakemake.output.caption
        )
