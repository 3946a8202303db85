"""Bind the rule `changes` to the package."""

import json

from alignment_calibration.contract.pairs import CHANGES, EFFECTS, PAIR_EFFECTS, RANK_PROBABILITIES
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_csv, write_frame
from alignment_calibration.pairs.changes import changes_of_pairs, read_changes
from alignment_calibration.pairs.mean_changes import effects, pair_effects
from alignment_calibration.pairs.ranks import rank_probabilities

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        files = dict(zip(params["models"], snakemake.input.metrics, strict=True))
        replicates = read_changes(files, params["pairs"])
        changes = changes_of_pairs(replicates, snakemake.input.permutations)
        seed = params["statistics"]["seed"]
        to = snakemake.output
        write_frame(to.alignment_effects, effects(replicates, seed), EFFECTS)
        write_frame(to.pair_effects, pair_effects(replicates), PAIR_EFFECTS)
        write_frame(to.rank_probabilities, rank_probabilities(replicates), RANK_PROBABILITIES)
        write_csv(to.csv, changes)
        write_frame(to.parquet, changes, CHANGES)
