"""Bind the rule `published_changes` to the package."""

from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_csv, write_frame
from alignment_calibration.reference.published import published_changes, read_published

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        changes = published_changes(read_published(snakemake.input.published))
        write_frame(snakemake.output.parquet, changes, CHANGES)
        write_csv(snakemake.output.csv, changes)
