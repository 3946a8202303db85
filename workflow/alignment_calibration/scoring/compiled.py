"""Scoring by trie with decoder layers that torch has compiled, in jobs that are large enough.

Between its products a layer reads and writes every hidden state many times: norms, rotations,
activations, sums. Compiled, what stands between two products is one pass. Attention on trees stays
outside of the graphs (`scoring/attention.py`), and with it all that differs from row to row but the
number of tokens, for which graphs are general: a model has some four of them, whatever its depth.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch._dynamo.exc import TorchDynamoException
from torch.fx.experimental import _config as symbols
from transformers.modeling_layers import GradientCheckpointingLayer

from alignment_calibration.errors import memory_message, one_line
from alignment_calibration.inputs.sizes import BYTES_PER_TOKEN
from alignment_calibration.scoring.attention import Kept
from alignment_calibration.scoring.head import with_forward
from alignment_calibration.scoring.memory import free_unused, is_out_of_memory
from alignment_calibration.scoring.parts import work_of
from alignment_calibration.scoring.scorer import Scorer
from alignment_calibration.scoring.tree import TreeScorer
from alignment_calibration.scoring.trial import fault_of
from alignment_calibration.scoring.trie import Batch, Trie

if TYPE_CHECKING:
    import pyarrow as pa

_LOGGER = logging.getLogger(__name__)

#: Work from which compiling pays, in numbers of hidden states: tokens × layers × width. By estimate
#: a row of 8,192 tokens of a 7B model (2^30 such numbers) takes an H100 0.24 s, and 0.045 s less
#: compiled, which itself takes some 30 s: made good by 2^39.4 numbers. From 2^40 on, 8.4 million
#: tokens of that model, it saves 46 s. None of this was measured on a GPU.
_PAYS_FROM = 2**40

#: Decoder layers, and what computes them in place of their own forward.
Forwards = dict[torch.nn.Module, Callable[..., Any]]


def layers_of(model: Any) -> list[torch.nn.Module]:
    """The decoder layers of a model; none of one whose code is not after transformers' manner."""
    parts = model.get_decoder().modules()
    return [part for part in parts if isinstance(part, GradientCheckpointingLayer)]


def pays(model: Any, tokens: float) -> bool:
    """Whether a job of so many tokens is large enough for a model's layers to be compiled.

    Layers that are spread over GPUs are not: each GPU would have graphs of its own to compile, and
    a share of the gain.
    """
    devices = {weight.device for weight in model.parameters()}
    width = model.config.get_text_config().hidden_size
    return len(devices) == 1 and tokens * len(layers_of(model)) * width >= _PAYS_FROM


class CompiledTreeScorer(TreeScorer):
    """A `TreeScorer` whose model computes its layers by compiled forwards.

    Args:
        model: see `TreeScorer`.
        device: see `TreeScorer`.
        token_budget: see `TreeScorer`.
        forwards: shared by the scorers of a model; emptied where they fail, so that all of these go
            on without them.
    """

    def __init__(
        self, model: Any, device: torch.device, token_budget: int, forwards: Forwards
    ) -> None:
        super().__init__(model, device, token_budget)
        self._forwards = forwards

    @property
    def compiled(self) -> bool:
        """See `Scorer.compiled`."""
        return bool(self._forwards)

    def _forward(self, trie: Trie, batch: Batch, kept: Kept) -> torch.Tensor:
        """See `TreeScorer._forward`; a row whose compilation fails is computed without."""
        try:
            with ExitStack() as replaced:
                # A first row of as many tokens as a head is wide says nothing of other rows.
                replaced.enter_context(symbols.patch(use_duck_shape=False))
                for layer, forward in self._forwards.items():
                    replaced.enter_context(with_forward(layer, forward))
                return super()._forward(trie, batch, kept)
        except TorchDynamoException as error:  # whatever the compiler and its tools cannot do
            self._forwards.clear()
            _say_not_compiled(self.model, f"{type(error).__name__}: {one_line(error)}")
        return super()._forward(trie, batch, kept)


def compiled_where_it_pays(scorer: Scorer, tables: Sequence["pa.Table"]) -> Scorer:
    """A scorer with compiled layers, on a GPU and for a large job; else the same scorer.

    Args:
        scorer: of a model that has passed its trial.
        tables: rows of the QUESTIONS contract, of all that the job has still to score: without the
            cells of before, a job that starts again may decide otherwise.
    """
    if not isinstance(scorer, TreeScorer) or scorer.device.type != "cuda":
        return scorer
    # Counted tokens are known when a cell is scored, and then of that cell alone.
    tokens = sum(map(work_of, tables)) / BYTES_PER_TOKEN
    return compiled(scorer) if pays(scorer.model, tokens) else scorer


def compiled(scorer: TreeScorer) -> TreeScorer:
    """A scorer with compiled layers, which have passed the trial that the scorer has; if they
    cannot be compiled, be it for want of memory, or do not pass, one without, and a line in the
    log."""
    forwards: Forwards = {}

    def tried(model: Any, device: torch.device, token_budget: int) -> Scorer:
        for layer in layers_of(model):
            forwards[layer] = torch.compile(layer.forward, dynamic=True)
        return CompiledTreeScorer(model, device, token_budget, forwards)

    try:
        # Windows are for attention, which is outside the graphs; but these would be made for each.
        fault = fault_of(tried, scorer.model, scorer.device, same_numbers=True, cross_windows=False)
    except Exception as error:  # a compiler tries kernels in memory that scoring can do without
        if not is_out_of_memory(error):
            raise
        fault = memory_message(error)
    if fault:
        forwards.clear()
        torch._dynamo.reset()
        free_unused()
        _say_not_compiled(scorer.model, fault)
        return scorer
    return CompiledTreeScorer(scorer.model, scorer.device, scorer.token_budget, forwards)


def _say_not_compiled(model: Any, reason: str) -> None:
    _LOGGER.warning(
        "the layers of %s are not compiled (%s): slower, with the same results but for rounding",
        type(model).__name__,
        reason,
    )
