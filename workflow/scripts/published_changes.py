"""Bind the rule `published_changes` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.contract.pairs import CHANGES, RANK_AGREEMENT, RANK_CORRELATIONS
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_csv, write_frame
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.ranks import rank_agreement, rank_correlations
from alignment_calibration.reference.published import published_changes, read_published
from alignment_calibration.study.settings import Permuting

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        permuting = Permuting.of(json.loads(snakemake.params.slice)["statistics"])
        changes = published_changes(read_published(snakemake.input.published))
        output = snakemake.output
        write_csv(output.changes_csv, changes)
        write_frame(output.changes, changes, CHANGES)
        write_frame(output.rank_agreement, rank_agreement(changes, permuting), RANK_AGREEMENT)
        write_frame(output.rank_correlations, rank_correlations(changes), RANK_CORRELATIONS)
