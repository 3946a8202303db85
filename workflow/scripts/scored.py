"""Bind the rules `taken_questions` and `taken_cells` to the package."""

from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.inputs.scored import take

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        for source, output in zip(snakemake.input.files, snakemake.output, strict=True):
            take(source, output)
