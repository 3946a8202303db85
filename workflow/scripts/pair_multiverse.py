"""Bind the rule `pair_multiverse` to the package."""

import json
from typing import TYPE_CHECKING, Any

from alignment_calibration.contract.pairs import PAIR_MULTIVERSE
from alignment_calibration.errors import logged
from alignment_calibration.files.frames import write_frame
from alignment_calibration.files.logits import expected_identity
from alignment_calibration.pairs.multiverse import pair_multiverse


def with_identities(
    receipts: Any, questions: Any, model_json: str, settings: str
) -> dict[Any, Any]:
    """The receipt of each cell and the identity that its logit file must have."""
    return {
        (task, prompt): (receipt, expected_identity(model_json, asked, json.loads(settings)))
        for (task, prompt), receipt, asked in zip(params["cells"], receipts, questions, strict=True)
    }


if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        params = json.loads(snakemake.params.slice)
        given = snakemake.input
        base_settings, aligned_settings = snakemake.params.identities
        found = pair_multiverse(
            pair=snakemake.wildcards.pair,
            base=with_identities(given.base, given.questions, given.base_json, base_settings),
            aligned=with_identities(
                given.aligned, given.questions, given.aligned_json, aligned_settings
            ),
        )
        write_frame(snakemake.output[0], found, PAIR_MULTIVERSE)
