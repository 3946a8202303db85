"""Bind the rule `published_table_1` to the package."""

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.reference.published import table_1
from alignment_calibration.report.tables import rank_table, write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        changes = read_frame(snakemake.input.changes, CHANGES)
        write_table(rank_table(table_1(changes)), snakemake.output)
