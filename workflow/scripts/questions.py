"""Bind the rule `questions` to the package."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.origin import made_from
from alignment_calibration.inputs.questions import write_questions

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        write_questions(
            **json.loads(snakemake.params.slice),
            own_tasks=Path(snakemake.scriptdir).parent / "tasks",
            where=f"tasks.{snakemake.wildcards.task}.{snakemake.wildcards.prompt}",
            output=snakemake.output[0],
            prompt=snakemake.wildcards.prompt,
            chat=snakemake.wildcards.get("chat"),
            as_text=snakemake.input.get("questions"),
        )
