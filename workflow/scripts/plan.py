"""Bind the rule `plan` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.inputs.plan import report
from alignment_calibration.pairs import power

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        study, results = json.loads(snakemake.params.study), snakemake.params.results
        text = report(study, results) + "\n" + power.report(study, results)
    print(text)
