"""Bind the rule `comparison` to the package."""

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.reference.against_published import comparison_table
from alignment_calibration.reference.published import read_published
from alignment_calibration.report.tables import write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        changes = read_frame(snakemake.input.changes, CHANGES)
        published = read_published(snakemake.input.published)
        write_table(comparison_table(changes, published), snakemake.output)
