"""Bind the rule `option_order` to the package."""

import json
from typing import TYPE_CHECKING

from alignment_calibration.errors import logged
from alignment_calibration.files.logits import identified_cells
from alignment_calibration.files.origin import made_from
from alignment_calibration.pairs.option_order import write_option_order

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if __name__ == "__main__":
    with logged(snakemake.log[0]), made_from(snakemake.params.origin, snakemake.input):
        params, given = json.loads(snakemake.params.slice), snakemake.input
        settings = map(json.loads, snakemake.params.identities)
        found, asked = iter(given.receipts), iter(given.questions)
        write_option_order(
            cells={
                model: identified_cells(
                    params["cells"],
                    [next(found) for _ in params["cells"]],
                    [next(asked) for _ in params["cells"]],
                    record,
                    setting,
                )
                for model, record, setting in zip(
                    params["models"], given.models, settings, strict=True
                )
            },
            pairs=params["pairs"],
            resample=params["statistics"]["resample"],
            output=snakemake.output[0],
        )
