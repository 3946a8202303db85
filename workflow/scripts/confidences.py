"""Bind the rule `confidences` to the package."""

import json

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.errors import logged
from alignment_calibration.files.logits import expected_identity

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        given, settings = snakemake.input, json.loads(snakemake.params.identity)
        prompts = snakemake.params.prompts
        write_confidences(
            receipts=dict(zip(prompts, given.receipts, strict=True)),
            identities={
                prompt: expected_identity(given.model, questions, settings)
                for prompt, questions in zip(prompts, given.questions, strict=True)
            },
            methods=snakemake.params.methods,
            output=snakemake.output[0],
        )
