"""Bind the rule `multiverse` to the package."""

from typing import TYPE_CHECKING

import pandas as pd

from alignment_calibration.contract.pairs import MULTIVERSE, PAIR_MULTIVERSE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.multiverse import count_conclusions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        parts = [read_frame(part, PAIR_MULTIVERSE) for part in sorted(snakemake.input.parts)]
        write_frame(snakemake.output[0], count_conclusions(pd.concat(parts)), MULTIVERSE)
