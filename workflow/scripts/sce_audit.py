"""Bind the rule `sce_audit` to the package."""

import itertools
import json

import pandas as pd

from alignment_calibration.calibration.sce_audit import audit
from alignment_calibration.contract.calibration import SCE_AUDIT
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.study.settings import Settings

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        cells = itertools.product(params["models"], params["tasks"])
        files = dict(zip(cells, snakemake.input.confidences, strict=True))
        parts = [
            audit(
                model,
                {task: files[model, task] for task in params["tasks"]},
                Settings.of(params["statistics"]),
            )
            for model in sorted(params["models"])
        ]
        write_frame(snakemake.output[0], pd.concat(parts), SCE_AUDIT)
