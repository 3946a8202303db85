"""Bind the rule `metrics` to the package."""

import json

from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.errors import logged
from alignment_calibration.study.settings import Resampling, Settings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        write_metrics(
            model=snakemake.wildcards.model,
            confidences=dict(zip(params["tasks"], snakemake.input.confidences, strict=True)),
            metrics=params["metrics"],
            settings=Settings.of(params["statistics"]),
            resampling=Resampling.of(params["statistics"]),
            output=snakemake.output[0],
        )
