"""Bind the rule `confidences` to the package."""

from alignment_calibration.calibration.confidences import write_confidences
from alignment_calibration.errors import logged
from alignment_calibration.files.logits import expected_identity

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        prompts = snakemake.params.prompts
        write_confidences(
            logits=dict(zip(prompts, snakemake.input.logits, strict=True)),
            identities={
                prompt: expected_identity(snakemake.input.model, questions, snakemake.params.dtype)
                for prompt, questions in zip(prompts, snakemake.input.questions, strict=True)
            },
            methods=snakemake.params.methods,
            output=snakemake.output[0],
        )
