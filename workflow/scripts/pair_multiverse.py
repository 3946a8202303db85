"""Bind the rule `pair_multiverse` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.contract.pairs import PAIR_MULTIVERSE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.logits import identified_cells
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.multiverse import pair_multiverse
from alignment_calibration.study.vocabulary import STAGES

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, given = json.loads(snakemake.params.slice), snakemake.input
        base, aligned = (
            identified_cells(
                params["cells"],
                given[stage],
                given[f"{stage}_questions"],
                given[f"{stage}_json"],
                settings,
            )
            for stage, settings in zip(
                STAGES, map(json.loads, snakemake.params.identities), strict=True
            )
        )
        resample = params["statistics"]["resample"]
        found = pair_multiverse(snakemake.wildcards.pair, base, aligned, resample)
        write_frame(snakemake.output[0], found, PAIR_MULTIVERSE)
