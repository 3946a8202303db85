"""Plain scoring: every distinct sequence by itself, in padded batches.

Right for every causal language model; used where `tree` cannot be.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from alignment_calibration.scoring.head import float32_head
from alignment_calibration.scoring.memory import halved, is_out_of_memory
from alignment_calibration.scoring.positions import longest_of_one_kind
from alignment_calibration.scoring.scorer import Request, Work


class PlainScorer:
    """Scores sequences, as many at once as the token budget allows.

    Requests that the model reads the same tokens for, as it does for all letters of a question,
    share a sequence.
    """

    def __init__(self, model: Any, device: torch.device, token_budget: int) -> None:
        self.model = model
        self.device = device
        self.token_budget = token_budget
        self.work = Work()
        self._longest_of_one_kind = longest_of_one_kind(model)

    @property
    def attention(self) -> str:
        """See `Scorer.attention`: what transformers chose for the model."""
        return str(self.model.config._attn_implementation)

    @property
    def compiled(self) -> bool:
        """See `Scorer.compiled`."""
        return False

    def score(
        self, requests: Sequence[Request], progress: Callable[[int], None]
    ) -> list[npt.NDArray[np.float32]]:
        """See `Scorer.score`."""
        askers: dict[tuple[int, ...], list[int]] = {}
        for index, request in enumerate(requests):
            askers.setdefault(request.input_ids, []).append(index)
        sequences = sorted(askers, key=len, reverse=True)
        results: dict[int, npt.NDArray[np.float32]] = {}
        position = 0
        while position < len(sequences):
            longest = len(sequences[position])
            batch = sequences[position : position + max(1, self.token_budget // longest)]
            if longest > self._longest_of_one_kind:
                batch = [ids for ids in batch if len(ids) > self._longest_of_one_kind]
            asked = [(row, index) for row, ids in enumerate(batch) for index in askers[ids]]
            values = self._try_batch(batch, [(row, requests[index]) for row, index in asked])
            if values is None:
                # One sequence is computed even if it is longer than the budget.
                self.token_budget = halved(min(self.token_budget, len(batch) * longest))
                continue
            results.update(zip([index for _, index in asked], values, strict=True))
            position += len(batch)
            progress(len(asked))
        return [results[index] for index in range(len(requests))]

    def _try_batch(
        self, sequences: Sequence[tuple[int, ...]], asked: Sequence[tuple[int, Request]]
    ) -> list[npt.NDArray[np.float32]] | None:
        """See `_batch`; None if memory did not suffice."""
        try:
            with torch.inference_mode():
                return self._batch(sequences, asked)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return None

    def _batch(
        self, sequences: Sequence[tuple[int, ...]], asked: Sequence[tuple[int, Request]]
    ) -> list[npt.NDArray[np.float32]]:
        """The log-probabilities of each request, which names the row of its sequence."""
        ids = torch.zeros(len(sequences), max(map(len, sequences)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = torch.tensor(sequence)
            mask[row, : len(sequence)] = 1
        # Padding stands on the right, where causal attention cannot see it.
        with float32_head(self.model):
            logits = self.model(
                input_ids=ids.to(self.device), attention_mask=mask.to(self.device), use_cache=False
            ).logits
        self.work.tokens_computed += ids.numel()
        # To the device and back once for all of them: each copy waits for what runs there.
        lengths = [len(request.continuation_ids) for _, request in asked]
        wanted = [token for _, request in asked for token in request.continuation_ids]
        targets = torch.tensor(wanted).to(logits.device).split(lengths)
        values = []
        for (row, request), target in zip(asked, targets, strict=True):
            end = len(sequences[row])
            rows = logits[row, end - len(request.continuation_ids) : end].float()
            values.append(rows.gather(1, target[:, None])[:, 0] - rows.logsumexp(dim=1))
        return np.split(torch.cat(values).cpu().numpy(), np.cumsum(lengths)[:-1])
