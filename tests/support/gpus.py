"""GPUs that are not there: tensors that say they are on one, and when each would have been done.

Values are computed on the CPU. Time goes as on GPUs: a device works off what it is told, in order,
while the program goes on at once. Operands on different devices are an error.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy.typing as npt
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from alignment_calibration.scoring import flight

_ATEN = torch.ops.aten
_CPU = torch.device("cpu")
#: What takes time: one unit each.
_PRODUCTS = {_ATEN.mm.default, _ATEN.addmm.default}
#: What makes the program wait for the device, since it wants to see numbers.
_LOOKS = {_ATEN._local_scalar_dense.default, _ATEN.nonzero.default, _ATEN.equal.default}


class _There(torch.Tensor):  # type: ignore[misc]  # torch does not type it
    """A tensor that says it is on a GPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, device: torch.device) -> "_There":
        made: _There = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device=device
        )
        made.held = held
        return made

    # These ask a torch without CUDA for a device before any mode comes to see them.
    def __getitem__(self, place: Any) -> "_There":
        _one_device((self, place))
        return _There(self.held[_held(place)], self.device)

    def __setitem__(self, place: Any, value: Any) -> None:
        _one_device((self, place, value))
        self.held[_held(place)] = _held(value)

    def contiguous(self, *_: Any, **__: Any) -> torch.Tensor:
        return self.clone(memory_format=torch.contiguous_format)

    def __invert__(self) -> torch.Tensor:
        return torch.bitwise_not(self)

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:
        raise AssertionError(f"{func} where there are no GPUs")


def _held(tree: Any) -> Any:
    return tree_map_only(_There, lambda there: there.held, tree)


def _one_device(tree: Any) -> set[torch.device]:
    """The device of all tensors but plain numbers, or none."""
    tensors = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    devices = {tensor.device for tensor in tensors if isinstance(tensor, _There) or tensor.dim()}
    assert len(devices) < 2, f"operands on {devices}"
    return devices


class Gpus(TorchDispatchMode):  # type: ignore[misc]  # torch does not type it
    """Within it, tensors can be on GPUs.

    Attributes:
        now: where the program is, in units of a matrix product.
        free: when each device is done with what it was told.
        busy: time that each device worked.
        waits: how often the program had to wait for a device: when it looked at a value, or copied
            from or to memory that is not pinned.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.free: Counter[torch.device] = Counter()
        self.busy: Counter[torch.device] = Counter()
        self.waits = 0
        self._pinned: dict[int, torch.Tensor] = {}
        self._placed: dict[int, torch.nn.Parameter] = {}  # weights that modules share stay one

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let the program pin memory, and fetch what is here."""
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: self._pin(tensor))
        patch.setattr(flight, "_fetched", self._fetched)
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)

    def put(self, module: torch.nn.Module, number: int) -> None:
        """Put a module on the GPU of that number, as it would be loaded."""
        device = torch.device("cuda", number)
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None:
                    there = torch.nn.Parameter(_There(weight.detach(), device), requires_grad=False)
                    part._parameters[name] = self._placed.setdefault(id(weight), there)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = _There(buffer, device)

    def _pin(self, tensor: torch.Tensor) -> torch.Tensor:
        self._pinned[id(tensor)] = tensor
        return tensor

    def _fetched(self, values: Any) -> tuple[npt.NDArray[Any], Callable[[], None]]:
        done = max(self.free[values.device], self.now)

        def wait() -> None:
            self.now = max(self.now, done)

        return _held(values), wait

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        with self:
            made_of_others = func.decompose(*args, **named)
        if made_of_others is not NotImplemented:
            return made_of_others
        if func in (_ATEN._to_copy.default, _ATEN.copy_.default):
            target = named.get("device") or args[0].device
            self._copied(args[-1], target, bool(named.get("non_blocking")))
        else:
            devices = _one_device((args, named))
            target = named.get("device") or next(iter(devices), _CPU)
            assert devices <= {target}, f"{func} of tensors on {devices}, for {target}"
            self.waits += func in _LOOKS and target != _CPU
            if func in _PRODUCTS:
                self.free[target] = max(self.free[target], self.now) + 1
                self.busy[target] += 1
        if "device" in named:
            named["device"] = _CPU
        # Attention by its formula: kernels are chosen for the device.
        result = (
            0 if func is _ATEN._fused_sdp_choice.default else func(*_held(args), **_held(named))
        )
        if func._schema.is_mutable:
            return args[0]
        return (
            result
            if target == _CPU
            else tree_map_only(torch.Tensor, lambda held: _There(held, target), result)
        )

    def _copied(self, tensor: torch.Tensor, target: torch.device, non_blocking: bool) -> None:
        source = tensor.device
        if _CPU not in (source, target):
            # Both have come to the copy before it begins, and go on after it (torch's
            # aten/src/ATen/native/cuda/Copy.cu, copy_device_to_device).
            both = max(self.free[source], self.free[target], self.now)
            self.free[source] = self.free[target] = both
        elif source != target:
            self.waits += not (non_blocking and id(tensor) in self._pinned)
