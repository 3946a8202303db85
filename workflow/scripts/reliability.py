"""Bind the rule `reliability` to the package."""

import json

from alignment_calibration.calibration.reliability import write_reliability
from alignment_calibration.errors import logged
from alignment_calibration.study.settings import Resampling, Settings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        settings = json.loads(snakemake.params.slice)
        write_reliability(
            model=snakemake.wildcards.model,
            confidences=dict(zip(settings["tasks"], snakemake.input.confidences, strict=True)),
            settings=Settings.of(settings["statistics"]),
            resampling=Resampling.of(settings["statistics"]),
            output=snakemake.output[0],
        )
