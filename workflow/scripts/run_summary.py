"""Bind the rule `run_summary` to the package."""

import json

from alignment_calibration.errors import logged
from alignment_calibration.files.atomic import read_json
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.run_summary import write_run_summary

if __name__ == "__main__":
    with logged(snakemake.log[0]):
        write_run_summary(snakemake.input.models, snakemake.input.runs, snakemake.output.summary)
        study = json.loads(snakemake.params.slice)
        summary = read_json(snakemake.output.summary)
        write_caption(snakemake.input.caption, study | summary, snakemake.output.caption)
