"""Does alignment tuning break an LLM's own confidence?

Calibration of base and aligned language models on multiple-choice tasks: scoring of options,
confidences read from token log-probabilities, calibration errors, their changes and their figures.

The statistics alone, on arrays of one's own:

    from alignment_calibration import measure, compare
"""

import importlib
from typing import Any

__all__ = ["compare", "measure"]


def __getattr__(name: str) -> Any:
    """The library's functions, imported when they are asked for.

    Every part of the package imports this file, and most do without numpy and pandas. The module is
    named by a text, since an import that stood here would count as code of every step.
    """
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
