"""Bind the rule `confidences` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.errors import logged
from alignment_calibration.files.logits import identified_cells
from alignment_calibration.files.origin import made_from

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, given = json.loads(snakemake.params.slice), snakemake.input
        settings = json.loads(snakemake.params.identity)
        write_confidences(
            cells=identified_cells(
                params["cells"], given.receipts, given.questions, given.model, settings
            ),
            methods=params["methods"],
            outputs=dict(zip(params["tasks"], snakemake.output, strict=True)),
        )
