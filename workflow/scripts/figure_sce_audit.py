"""Bind the figure `sce_audit` to the package."""

from alignment_calibration.contract.calibration import SCE_AUDIT
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import sce_audit
from alignment_calibration.report.figures.style import write_figure

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        tidy = read_frame(snakemake.input.tidy[0], SCE_AUDIT)
        write_figure(sce_audit.draw(tidy), snakemake.output.pdf, snakemake.output.png)
        write_caption(snakemake.input.caption, sce_audit.numbers(tidy), snakemake.output.caption)
