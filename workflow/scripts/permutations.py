"""Bind the rule `permutations` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.contract.pairs import PERMUTATIONS
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.permutation_test import permutation_tests
from alignment_calibration.study.settings import Permuting, Settings

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params = json.loads(snakemake.params.slice)
        tests = permutation_tests(
            read_contrasts(
                snakemake.wildcards.pair,
                base=dict(zip(params["tasks"], snakemake.input.base, strict=True)),
                aligned=dict(zip(params["tasks"], snakemake.input.aligned, strict=True)),
                resample=params["statistics"]["resample"],
            ),
            metrics=params["metrics"],
            settings=Settings.of(params["statistics"]),
            permuting=Permuting.of(params["statistics"]),
        )
        write_frame(snakemake.output[0], tests, PERMUTATIONS)
