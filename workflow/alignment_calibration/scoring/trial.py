"""The trial of a way of scoring: a few tokens go through the model that way and one by one.

It stands for all that cannot be known of an architecture beforehand, remote code included, and runs
whenever a model is loaded; so it is short, and a window that is longer is drawn in for as long.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import count, islice
from typing import Any, Final

import numpy as np
import torch

from alignment_calibration.errors import one_line
from alignment_calibration.scoring.memory import is_out_of_memory
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.scorer import Request, Scorer, UnsupportedModelError

#: What all lengths of a trial are multiples of, in tokens: on a CPU each token is felt when a job
#: starts, elsewhere a pass over so few takes as long as a pass over one.
_UNIT: Final = {"cpu": 1}
_UNIT_ELSEWHERE: Final = 8

#: Most that a log-probability may differ by for rounding: in float32, in nats; in half precision,
#: as a share of their standard deviation. SmolLM2-135M in bfloat16 had 0.05 and 0.08, random Llamas
#: of 32 layers 0.05 to 0.18.
_MOST: Final = 1e-3
_MOST_IN_HALF: Final = 0.5
#: Most that they may differ by on average, as such a share. SmolLM2-135M in bfloat16 had 0.000 to
#: 0.018; attention to wrong tokens 0.25 and more, a wrong scale of its logits 0.07 if by a
#: twentieth.
_MEAN: Final = 0.05


def fault_of(
    scorer: Callable[[Any, torch.device, int], Scorer],
    model: Any,
    device: torch.device,
    same_numbers: bool,
    cross_windows: bool = True,
) -> str | None:
    """Why a scorer cannot score a model, or None if it can: found by trying.

    Args:
        scorer: is made of the model, the device and a token budget.
        model: a causal language model of transformers, in evaluation mode.
        device: where its token ids go in.
        same_numbers: whether its numbers must be those of plain batches.
        cross_windows: whether sliding windows are drawn in for as long.

    Raises:
        MemoryError: if memory does not suffice for the trial; or torch's own OutOfMemoryError.
    """
    unit = _UNIT.get(device.type, _UNIT_ELSEWHERE)
    requests = _requests(model.config.get_text_config().vocab_size, unit)
    with _windows_of_at_most(5 * unit, model) if cross_windows else nullcontext():
        try:
            found = scorer(model, device, 8 * unit).score(requests, lambda number: None)
        except UnsupportedModelError as error:
            return str(error)
        except MemoryError:
            raise
        except Exception as error:  # the model's own code, at work on what it was not made for
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            return f"its forward pass ends in {type(error).__name__}: {one_line(error)}"
        if not same_numbers:
            return None
        wanted = PlainScorer(model, device, 64 * unit).score(requests, lambda number: None)
    numbers = np.concatenate(wanted)
    differences = np.abs(np.concatenate(found) - numbers)
    most, mean = float(differences.max()), float(differences.mean())
    spread = float(numbers.std())
    allowed = _MOST if model.dtype == torch.float32 else _MOST_IN_HALF * spread
    if most <= allowed and mean <= _MEAN * spread:
        return None
    return f"its results differ by up to {most:.2g} nats, {mean:.2g} on average"


def _requests(vocabulary: int, unit: int) -> list[Request]:
    """Options of three questions that share a beginning: two that share their own, letters, and one
    of a question that leaves the others early.

    Under a token budget of eight units the tree makes of them a stem, a block, and two blocks of
    different lengths below paths of different lengths.
    """
    numbers = ((7 + 11 * number) % vocabulary for number in count())

    def some(units: int) -> tuple[int, ...]:
        return tuple(islice(numbers, units * unit))

    common, begun = some(8), some(1)
    first, letters, early = common + some(1), common + some(3), common[: 5 * unit] + some(1)
    return [
        Request(first, begun + some(3)),
        Request(first, begun + some(3)),
        Request(letters, some(1)[:1]),
        Request(letters, some(1)[:1]),
        Request(early, some(4)),
    ]


@contextmanager
def _windows_of_at_most(length: int, model: Any) -> Iterator[None]:
    """Let a model's sliding windows be at most `length`, so that a short text is longer than they.

    The config has the window for the masks that transformers makes, and the layers have it too.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if not isinstance(window, int) or window <= length:
        yield
        return
    holders = [config, *(part for part in model.modules() if _window(part) == window)]
    for holder in holders:
        holder.sliding_window = length
    try:
        yield
    finally:
        for holder in holders:
            holder.sliding_window = window


def _window(module: torch.nn.Module) -> Any:
    """The sliding window that a module has of its own."""
    return vars(module).get("sliding_window")
