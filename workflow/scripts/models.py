"""Bind the rule `models` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.inputs.checkpoints import resolve

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        resolve(
            slug=snakemake.wildcards.model,
            spec=json.loads(snakemake.params.spec),
            converted=snakemake.params.converted,
            output=snakemake.output[0],
            same=snakemake.input.same or None,
        )
