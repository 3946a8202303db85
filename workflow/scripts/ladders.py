"""Bind the rule `ladders` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.ladders import write_ladders

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params = json.loads(snakemake.params.slice)
        write_ladders(
            metrics=dict(zip(params["models"], snakemake.input.metrics, strict=True)),
            ladders=params["ladders"],
            steps=params["steps"],
            permutations=snakemake.input.permutations,
            outputs=dict(snakemake.output.items()),
        )
