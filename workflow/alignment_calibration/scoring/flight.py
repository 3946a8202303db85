"""Numbers on their way to a device and back, so that it has work while the program goes on.

A GPU is told what to do and works it off by itself; the program waits for it only where it looks at
a result, or copies from or to ordinary memory. So copies go by pinned memory, and a row's results
are looked at when rows behind it have been launched. With layers spread over several GPUs these
rows are in several GPUs at once, as on an assembly line (see `pipeline`).
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy.typing as npt
import torch

#: Rows launched ahead of the results that are waited for, for each device that holds layers.
_ROWS_PER_DEVICE = 2

What = TypeVar("What")


def pinned(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array as a tensor that `sent` can copy to such a device without waiting."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory() if device.type == "cuda" else tensor


def sent(array: npt.NDArray[Any] | torch.Tensor, device: torch.device) -> torch.Tensor:
    """An array, or what `pinned` made of it, on a device."""
    tensor = array if isinstance(array, torch.Tensor) else pinned(array, device)
    return tensor.to(device, non_blocking=device.type == "cuda")


def _fetched(values: torch.Tensor) -> tuple[torch.Tensor, Callable[[], None]]:
    """A copy in ordinary memory, and what waits until it is there: no time, but on a GPU."""
    if values.device.type != "cuda":
        return values.cpu(), lambda: None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    there = torch.cuda.Event()
    there.record(torch.cuda.current_stream(values.device))
    return copy, there.synchronize


def rows_ahead(model: Any) -> int:
    """How many rows are launched before the first one's results are waited for."""
    devices = {parameter.device for parameter in model.parameters()}
    return _ROWS_PER_DEVICE * len(devices)


class InFlight(Generic[What]):
    """Rows that were launched and whose results are still to come, first in, first out.

    Args:
        most: rows in flight at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: deque[tuple[What, torch.Tensor, Callable[[], None]]] = deque()

    def launch(self, what: What, values: torch.Tensor) -> Iterator[tuple[What, npt.NDArray[Any]]]:
        """Take up the results of a row, and give those for which there is no room any more.

        Args:
            what: they are.
            values: on the device that computes them.
        """
        self._rows.append((what, *_fetched(values)))
        return self._landed(self._most)

    def land(self) -> Iterator[tuple[What, npt.NDArray[Any]]]:
        """Give the results of all rows that are in flight."""
        return self._landed(0)

    def _landed(self, left: int) -> Iterator[tuple[What, npt.NDArray[Any]]]:
        while len(self._rows) > left:
            what, copy, wait = self._rows.popleft()
            wait()
            yield what, copy.numpy()
