"""Bind the rule `rank_table` to the package."""

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.tables import rank_table, write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_table(rank_table(read_frame(snakemake.input.changes, CHANGES)), snakemake.output)
