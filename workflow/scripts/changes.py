"""Bind the rule `changes` to the package."""

import json

from alignment_calibration.changes import changes_of_pairs
from alignment_calibration.contract import CHANGES
from alignment_calibration.errors import logged
from alignment_calibration.frames import write_csv, write_frame

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        files = dict(zip(params["models"], snakemake.input.metrics, strict=True))
        changes = changes_of_pairs(files, snakemake.input.permutations, params["pairs"])
        write_frame(snakemake.output.parquet, changes, CHANGES)
        write_csv(snakemake.output.csv, changes)
