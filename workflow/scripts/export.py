"""Bind the rule `export` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.report.data_set.step import write_export

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin):
        write_export(
            files=snakemake.input.files,
            results=snakemake.params.results,
            study=json.loads(snakemake.params.study),
            template=snakemake.input.template,
            output=snakemake.output[0],
        )
