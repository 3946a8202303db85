"""The step `scored`: models, questions and cells of an exported study, taken as they are."""

import shutil
from pathlib import Path

from alignment_calibration.files.atomic import atomic_path
from alignment_calibration.files.logits import (
    logits_beside,
    read_logits,
    read_receipt,
    run_json_beside,
)
from alignment_calibration.files.parquet import read_whole


def take(source: str | Path, output: str | Path) -> None:
    """Copy a file of an exported study; with a receipt, the logit file of which it speaks.

    Args:
        source: record of a model, questions file, or receipt.
        output: its place in the results.

    Raises:
        UserError: if a file is missing, damaged, or not what the workflow wrote.
    """
    if str(source).endswith(".receipt.json"):
        read_logits(source, read_receipt(source)["identity"])
        _copy(logits_beside(source), logits_beside(output))
        if run_json_beside(source).is_file():
            _copy(run_json_beside(source), run_json_beside(output))
    elif str(source).endswith(".parquet"):
        read_whole(source)
    _copy(source, output)


def _copy(source: str | Path, output: str | Path) -> None:
    with atomic_path(output) as temporary:
        shutil.copyfile(source, temporary)
