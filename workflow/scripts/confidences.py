"""Bind the rule `confidences` to the package."""

import json

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.errors import logged
from alignment_calibration.files.logits import expected_identity

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params, given = json.loads(snakemake.params.slice), snakemake.input
        cells = zip(params["cells"], given.logits, given.questions, strict=True)
        write_confidences(
            cells={
                tuple(cell): (
                    logits,
                    expected_identity(given.model, questions, snakemake.params.dtype),
                )
                for cell, logits, questions in cells
            },
            methods=params["methods"],
            outputs=dict(zip(params["tasks"], snakemake.output, strict=True)),
        )
