"""Bind the rule `pair_temperature` to the package."""

import json

from alignment_calibration.contract.pairs import TEMPERATURE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.pairs.temperature import temperature_effects
from alignment_calibration.study.settings import Settings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        found = temperature_effects(
            pair=snakemake.wildcards.pair,
            base=dict(zip(params["tasks"], snakemake.input.base, strict=True)),
            aligned=dict(zip(params["tasks"], snakemake.input.aligned, strict=True)),
            metrics=params["metrics"],
            settings=Settings.of(params["statistics"]),
        )
        write_frame(snakemake.output[0], found, TEMPERATURE)
