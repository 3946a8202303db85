"""Bind the rule `pair_multiverse` to the package."""

import json

from alignment_calibration.contract.pairs import PAIR_MULTIVERSE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.pairs.multiverse import pair_multiverse
from alignment_calibration.study.settings import Permuting


def with_identities(logits, questions, model_json, dtype):
    """The logit file of each cell and the identity it must have."""
    return {
        (task, prompt): (path, expected_identity(model_json, asked, dtype))
        for (task, prompt), path, asked in zip(params["cells"], logits, questions, strict=True)
    }


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        given = snakemake.input
        base_dtype, aligned_dtype = snakemake.params.dtypes
        found = pair_multiverse(
            pair=snakemake.wildcards.pair,
            base=with_identities(given.base, given.questions, given.base_json, base_dtype),
            aligned=with_identities(
                given.aligned, given.questions, given.aligned_json, aligned_dtype
            ),
            permuting=Permuting.of(params["statistics"]),
        )
        write_frame(snakemake.output[0], found, PAIR_MULTIVERSE)
