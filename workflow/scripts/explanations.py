"""Bind the rule `explanations` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.explanations import write_explanations
from alignment_calibration.study.settings import Settings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, files = json.loads(snakemake.params.slice), iter(snakemake.input.confidences)
        write_explanations(
            confidences={
                model: {task: next(files) for task in params["tasks"]} for model in params["models"]
            },
            pairs=params["pairs"],
            metrics=params["metrics"],
            settings=Settings.of(params["statistics"]),
            resample=params["statistics"]["resample"],
            outputs=dict(snakemake.output.items()),
        )
