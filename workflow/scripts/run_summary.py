"""Bind the rule `run_summary` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.atomic import read_json
from alignment_calibration.files.origin import made_from
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.html import write_with_caption
from alignment_calibration.report.run_summary import write_run_summary

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        given, output = snakemake.input, snakemake.output
        write_run_summary(given.models, given.receipts, given.metrics, output.summary)
        study = json.loads(snakemake.params.slice)
        summary = read_json(output.summary)
        write_caption(given.caption, study | summary, output.caption, snakemake.params.notes)
        write_with_caption(output.html, output.caption)
