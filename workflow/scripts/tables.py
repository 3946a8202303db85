"""Bind the rules `tables` and `published_tables` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.report.tables.step import write_tables

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        reads = json.loads(snakemake.params.slice)["reads"]
        write_tables(dict(zip(reads, snakemake.input.tidy, strict=True)), snakemake.output)
