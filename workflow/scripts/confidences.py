"""Bind the rule `confidences` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.errors import logged
from alignment_calibration.files.logits import expected_identity

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params, given = json.loads(snakemake.params.slice), snakemake.input
        settings = json.loads(snakemake.params.identity)
        cells = zip(params["cells"], given.receipts, given.questions, strict=True)
        write_confidences(
            cells={
                tuple(cell): (receipt, expected_identity(given.model, questions, settings))
                for cell, receipt, questions in cells
            },
            methods=params["methods"],
            outputs=dict(zip(params["tasks"], snakemake.output, strict=True)),
        )
