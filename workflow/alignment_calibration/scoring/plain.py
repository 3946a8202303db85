"""Plain scoring: every request a sequence of its own, in padded batches.

Right for every causal language model; used where `tree` cannot be.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alignment_calibration.scoring.memory import halved, is_out_of_memory
from alignment_calibration.scoring.scorer import Request, Work


class PlainScorer:
    """Scores requests one sequence per option, as many at once as the token budget allows."""

    def __init__(self, model: Any, device: torch.device, token_budget: int) -> None:
        self.model = model
        self.device = device
        self.token_budget = token_budget
        self.work = Work()

    @property
    def attention(self) -> str:
        """See `Scorer.attention`: what transformers chose for the model."""
        return str(self.model.config._attn_implementation)

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> list[npt.NDArray[np.float32]]:
        """See `Scorer.score`."""
        order = sorted(range(len(requests)), key=lambda index: -len(requests[index].input_ids))
        results: dict[int, npt.NDArray[np.float32]] = {}
        position = 0
        while position < len(order):
            longest = len(requests[order[position]].input_ids)
            batch = order[position : position + max(1, self.token_budget // longest)]
            values = self._try_batch([requests[index] for index in batch])
            if values is None:
                # One sequence is computed even if it is longer than the budget.
                self.token_budget = halved(min(self.token_budget, len(batch) * longest))
                continue
            results.update(zip(batch, values, strict=True))
            position += len(batch)
            progress(len(batch))
        return [results[index] for index in range(len(requests))]

    def _try_batch(self, requests: Sequence[Request]) -> list[npt.NDArray[np.float32]] | None:
        """The log-probabilities of a batch, or None if memory did not suffice for it."""
        try:
            with torch.inference_mode():
                return self._batch(requests)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _batch(self, requests: Sequence[Request]) -> list[npt.NDArray[np.float32]]:
        lengths = [len(request.input_ids) for request in requests]
        ids = torch.zeros(len(requests), max(lengths), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, request in enumerate(requests):
            ids[row, : lengths[row]] = torch.tensor(request.input_ids)
            mask[row, : lengths[row]] = 1
        # Padding stands on the right, where causal attention cannot see it.
        logits = self.model(
            input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
        ).logits
        self.work.tokens_computed += ids.numel()
        results = []
        for row, request in enumerate(requests):
            start = len(request.context_ids) - 1
            targets = torch.tensor(request.continuation_ids, device=logits.device)
            rows = logits[row, start : lengths[row]].float()
            values = rows.gather(1, targets[:, None])[:, 0] - rows.logsumexp(dim=1)
            results.append(values.cpu().numpy())
        return results
