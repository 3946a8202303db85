"""Bind the rule `changes` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.changes import write_changes
from alignment_calibration.study.settings import Permuting

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params = json.loads(snakemake.params.slice)
        write_changes(
            metrics=dict(zip(params["models"], snakemake.input.metrics, strict=True)),
            reliability=dict(zip(params["models"], snakemake.input.reliability, strict=True)),
            pairs=params["pairs"],
            steps=params["steps"],
            permutations=snakemake.input.permutations,
            permuting=Permuting.of(params["statistics"]),
            outputs=dict(snakemake.output.items()),
        )
