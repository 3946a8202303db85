"""Bind the rule `letter_parts` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.letter_parts import write_letter_parts
from alignment_calibration.study.settings import Settings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, files = json.loads(snakemake.params.slice), iter(snakemake.input.confidences)
        write_letter_parts(
            confidences={
                model: {task: next(files) for task in params["tasks"]} for model in params["models"]
            },
            pairs=params["pairs"],
            metrics=params["metrics"],
            settings=Settings.of(params["statistics"]),
            resample=params["statistics"]["resample"],
            output=snakemake.output[0],
        )
