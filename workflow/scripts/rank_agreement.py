"""Bind the rule `rank_agreement` to the package."""

import json

from alignment_calibration.contract.pairs import CHANGES, RANK_AGREEMENT, RANK_CORRELATIONS
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.pairs.ranks import rank_agreement, rank_correlations

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        statistics = json.loads(snakemake.params.slice)["statistics"]
        changes = read_frame(snakemake.input.changes, CHANGES)
        agreement = rank_agreement(changes, statistics["seed"], statistics["permutations"])
        write_frame(snakemake.output.agreement, agreement, RANK_AGREEMENT)
        write_frame(snakemake.output.correlations, rank_correlations(changes), RANK_CORRELATIONS)
