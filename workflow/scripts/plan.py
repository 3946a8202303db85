"""Bind the rule `plan` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.inputs.plan import report

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        text = report(json.loads(snakemake.params.study), snakemake.params.results)
    print(text)
