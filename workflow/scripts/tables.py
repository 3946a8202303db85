"""Bind the rules `tables` and `published_tables` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.report.tables.step import write_tables
from alignment_calibration.study.settings import Primary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params = json.loads(snakemake.params.slice)
        tidy = dict(zip(params["reads"], snakemake.input.tidy, strict=True))
        primary = Primary.of(params["statistics"]["primary"])
        write_tables(tidy, primary, snakemake.output, params["notes"])
