"""Bind the rule `all_metrics` to the package."""

import json

from alignment_calibration.calibration.metrics.step import join_metrics
from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_csv, write_frame

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        files = dict(zip(params["models"], snakemake.input.metrics, strict=True))
        metrics = join_metrics(files, params["pairs"])
        write_frame(snakemake.output.parquet, metrics, ALL_METRICS)
        write_csv(snakemake.output.csv, metrics)
