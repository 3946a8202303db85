"""Bind the rule `decomposition` to the package."""

import itertools
import json

import pandas as pd

from alignment_calibration.contract.pairs import DECOMPOSITION
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.pairs.decomposition import decompose_pair
from alignment_calibration.study.settings import Settings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        cells = itertools.product(params["models"], params["tasks"])
        files = dict(zip(cells, snakemake.input.confidences, strict=True))
        parts = [
            decompose_pair(
                pair,
                base={task: files[models["base"], task] for task in params["tasks"]},
                aligned={task: files[models["aligned"], task] for task in params["tasks"]},
                metrics=params["metrics"],
                settings=Settings.of(params["statistics"]),
            )
            for pair, models in sorted(params["pairs"].items())
        ]
        write_frame(snakemake.output[0], pd.concat(parts), DECOMPOSITION)
