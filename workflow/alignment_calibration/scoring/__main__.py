"""Score cells of one model: `python -m alignment_calibration.scoring`, see `--help`."""

import os
from collections.abc import MutableMapping

from alignment_calibration.errors import run_cli

#: Where torch looks for settings of its memory, all names of old included.
_SETTINGS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


def main() -> None:
    """The command, imported only here: where memory lacks for that, `run_cli` says so."""
    let_memory_grow(os.environ)
    from alignment_calibration.scoring import command

    command.main()


def let_memory_grow(environment: MutableMapping[str, str]) -> None:
    """Have torch, not imported yet, extend the memory that it holds of a GPU, and not add to it.

    Hardly two rows are of one shape, so that pieces of fixed size would go to waste between them.
    What somebody has set of torch's memory stays.
    """
    if not any(name in environment for name in _SETTINGS):
        environment[_SETTINGS[0]] = "expandable_segments:True"


if __name__ == "__main__":
    run_cli(main)
