"""Bind the rules `figures` and `published_figures` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.report.figures.step import write_figures
from alignment_calibration.study.settings import Primary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, files = json.loads(snakemake.params.slice), snakemake.output
        tidy = dict(zip(params["reads"], snakemake.input.tidy, strict=True))
        write_figures(
            params["pages"],
            tidy,
            Primary.of(params["primary"]),
            snakemake.input.templates,
            *(files.pdf, files.png, files.caption, files.html),
            notes=params["notes"],
        )
