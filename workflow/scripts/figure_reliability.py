"""Bind the figure `reliability` to the package."""

from alignment_calibration.contract.calibration import RELIABILITY
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import reliability
from alignment_calibration.report.figures.style import write_figure

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        base, aligned = (
            frame[frame["method"] == snakemake.wildcards.method]
            for frame in (
                read_frame(snakemake.input.base, RELIABILITY),
                read_frame(snakemake.input.aligned, RELIABILITY),
            )
        )
        figure = reliability.draw(base, aligned)
        write_figure(figure, snakemake.output.pdf, snakemake.output.png)
        numbers = reliability.numbers(base, aligned)
        write_caption(snakemake.input.caption, numbers, snakemake.output.caption)
