"""The ways to compute log-probabilities, by name, and the choice of one for a model.

Imported while Snakemake parses the workflow, so torch is imported only when a backend is used.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from alignment_calibration.errors import UserError
from alignment_calibration.scoring.scorer import Scorer

if TYPE_CHECKING:
    import torch

_LOGGER = logging.getLogger(__name__)

#: In place of a backend's name: the first that can score the model.
AUTO: Final = "auto"
#: The definition, each option a sequence of its own: right for every model.
PLAIN: Final = "plain"


@dataclass(frozen=True)
class Backend:
    """A way to compute log-probabilities.

    Args:
        scorer: imports the scorer's class, which is made of a model, the device where its token ids
            go in, and a token budget.
        own_numbers: whether its numbers differ from those of `plain` by more than rounding. Its
            name then stands in the identity of the cells it scores, and it is used only where a
            config names it, so that no study mixes the two by chance.
    """

    scorer: Callable[[], Callable[[Any, "torch.device", int], Scorer]]
    own_numbers: bool = False


def _tree() -> Callable[[Any, "torch.device", int], Scorer]:
    from alignment_calibration.scoring.tree import TreeScorer

    return TreeScorer


def _plain() -> Callable[[Any, "torch.device", int], Scorer]:
    from alignment_calibration.scoring.plain import PlainScorer

    return PlainScorer


#: Every backend, by name; `auto` tries those without numbers of their own, in this order.
BACKENDS: Final = {
    "tree": Backend(_tree),  # each token prefix once
    PLAIN: Backend(_plain),
}


def identity_settings(dtype: str, backend: str) -> dict[str, str]:
    """What of a study's way of scoring decides its numbers, and so is in the identity of its cells.

    Args:
        dtype: number format of weights and activations.
        backend: a name in `BACKENDS`, or `auto`.
    """
    own_numbers = backend != AUTO and BACKENDS[backend].own_numbers
    return {"dtype": dtype} | ({"backend": backend} if own_numbers else {})


def choose(
    model: Any, device: "torch.device", token_budget: int | None = None, backend: str = AUTO
) -> tuple[str, Scorer]:
    """The backend for a model, by name, and its scorer; `auto` says which ways are closed.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        device: where its token ids go in.
        token_budget: most tokens of one forward pass; None finds it from the free memory.
        backend: a name in `BACKENDS`, or `auto`.

    Raises:
        UserError: if the backend of that name cannot score the model.
    """
    from alignment_calibration.scoring.memory import automatic_budget

    budget = token_budget or automatic_budget(model, device)
    names = [name for name, known in BACKENDS.items() if not known.own_numbers]
    for name in names if backend == AUTO else [backend]:
        reason = why_not(name, model, device)
        if reason is None:
            return name, BACKENDS[name].scorer()(model, device, budget)
        if backend != AUTO:
            raise UserError(
                f"scoring.backend: found {name}, which cannot score {type(model).__name__} "
                f"({reason}); allowed: {AUTO}, {PLAIN}"
            )
        _LOGGER.warning(
            "%s cannot be scored by the backend %s (%s); the next is tried: slower, with the same "
            "results",
            type(model).__name__,
            name,
            reason,
        )
    raise AssertionError(f"{PLAIN} scores every model")


def why_not(name: str, model: Any, device: "torch.device") -> str | None:
    """Why a backend cannot score a model, or None if it can; see `trial.fault_of`."""
    from alignment_calibration.scoring.trial import fault_of

    backend = BACKENDS[name]
    if name == PLAIN:
        return None
    return fault_of(backend.scorer(), model, device, same_numbers=not backend.own_numbers)
