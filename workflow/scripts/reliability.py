"""Bind the rule `reliability` to the package."""

import json

from alignment_calibration.calibration.reliability import by_pair
from alignment_calibration.contract.calibration import RELIABILITY
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params, files = json.loads(snakemake.params.slice), iter(snakemake.input.confidences)
        models = {m: {task: next(files) for task in params["tasks"]} for m in params["models"]}
        frame = by_pair(models, params["pairs"], params["statistics"])
        write_frame(snakemake.output[0], frame, RELIABILITY)
