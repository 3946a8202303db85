"""Bind the rule `sampled_models` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.inputs.lm_eval_samples import resolve_samples

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        resolve_samples(
            slug=snakemake.wildcards.model,
            spec=json.loads(snakemake.params.spec),
            files=snakemake.params.files,
            sums_only=snakemake.params.sums_only,
            output=snakemake.output[0],
        )
