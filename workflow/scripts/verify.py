"""Bind the rule `verify` to the package."""

from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.files.verification import verify

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin):
        found = verify(snakemake.params.results, expected=snakemake.params.made)
    print(found)
