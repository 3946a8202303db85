"""Bind the rule `sampled_questions` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.inputs.lm_eval_samples import write_sampled_questions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        (cell,) = json.loads(snakemake.params.slice)
        write_sampled_questions(cell["files"], cell["limit"], cell["prompt"], snakemake.output[0])
