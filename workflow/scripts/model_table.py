"""Bind the rule `model_table` to the package."""

from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame
from alignment_calibration.report.tables import model_table, write_table

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_table(model_table(read_frame(snakemake.input.metrics, ALL_METRICS)), snakemake.output)
