"""Bind the rule `metrics` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.calibration.reliability import write_reliability
from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.study.settings import Resampling, Settings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, output = json.loads(snakemake.params.slice), snakemake.output
        given = {
            "model": snakemake.wildcards.model,
            "confidences": dict(zip(params["tasks"], snakemake.input.confidences, strict=True)),
            "settings": Settings.of(params["statistics"]),
            "resampling": Resampling.of(params["statistics"]),
        }
        write_metrics(**given, metrics=params["metrics"], output=output.metrics)
        write_reliability(**given, output=output.reliability)
