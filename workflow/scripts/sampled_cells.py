"""Bind the rule `sampled_cells` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.inputs.lm_eval_samples import write_sampled_cell

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        given, cells = snakemake.input, json.loads(snakemake.params.slice)
        for cell, questions, receipt in zip(cells, given.questions, snakemake.output, strict=True):
            identity = expected_identity(given.model, questions, {})
            write_sampled_cell(**cell, questions=questions, identity=identity, receipt=receipt)
