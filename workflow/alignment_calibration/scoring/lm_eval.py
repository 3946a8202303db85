"""lm-evaluation-harness's `shared_prefix` model: `HFLM` with log-probabilities by token trie.

    python -m alignment_calibration.scoring.lm_eval --model shared_prefix \\
        --model_args pretrained=… --tasks arc_easy

is lm-eval's own command line (also installed as `lm-eval-shared-prefix`), which knows this model
too: it takes the arguments of `--model hf` and gives its results. Only log-likelihoods are computed
in another way; generation and rolling log-likelihoods are HFLM's.
"""

from typing import Any

import torch
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from tqdm import tqdm

from alignment_calibration.errors import UserError
from alignment_calibration.scoring.backends import choose
from alignment_calibration.scoring.scorer import Request, Scorer
from alignment_calibration.scoring.tree import TreeScorer, target_logprobs

#: A request as lm-eval hands it over: its texts, the context's token ids and the continuation's.
LmEvalRequest = tuple[tuple[str, str], list[int], list[int]]


def _logprob_and_greedy(
    logits: torch.Tensor, row: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    """Log-probability of each target, and whether it is the most likely token (1 or 0)."""
    greedy = logits.argmax(dim=1)[row] == target
    return torch.cat([target_logprobs(logits, row, target), greedy[:, None].float()], dim=1)


@register_model("shared_prefix")
class SharedPrefixLM(HFLM):  # type: ignore[misc]  # lm-eval has no types
    """`HFLM` that computes every distinct token prefix of its requests once.

    `batch_size` is not used for log-likelihoods: the token budget is found from the free memory. An
    architecture that cannot be computed so goes the way of HFLM.
    """

    _scorer: Scorer | None = None
    #: Of the requests just computed, by token trie, in their order.
    _tokens: list[dict[str, Any]]

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """As HFLM's; and each request gets the tokens of its option as a third argument.

        `--log_samples` writes the arguments of requests, so that nothing is lost there: `arg_2`
        holds `token_ids`, `token_logprobs` (nats), `context_tokens` (their number), `truncated`.
        """
        for request in requests:
            request.arguments = request.args[:2]
        self._tokens = []
        answers = list(super().loglikelihood(requests, disable_tqdm=disable_tqdm))
        for request, tokens in zip(requests, self._tokens, strict=False):  # none after HFLM's way
            request.arguments = (*request.args, tokens)
        return answers

    def _loglikelihood_tokens(
        self,
        requests: list[LmEvalRequest],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """Sum of log-probabilities (nats) of each continuation, and whether all are most likely."""
        if self._scorer is None and self.backend == "causal":
            _, self._scorer = choose(self.model, torch.device(self.device))
        # The windows of a rolling log-likelihood have no text of their own.
        rolling = any(text is None for text, _, _ in requests)
        if (
            rolling
            or self.mixed_precision_dtype
            or not isinstance(self._scorer, TreeScorer)
            or not all(
                map(
                    self._scorer.can_read,
                    fitting := [self._request(*tokens) for _, *tokens in requests],
                )
            )
        ):
            return list(
                super()._loglikelihood_tokens(
                    requests, disable_tqdm=disable_tqdm, override_bs=override_bs
                )
            )
        with tqdm(
            total=len(requests), desc="Running loglikelihood requests", disable=disable_tqdm
        ) as bar:

            def progress(number: int) -> None:
                bar.update(number)

            read = self._scorer.read(fitting, progress, _logprob_and_greedy)
        self._tokens = [
            {
                "token_ids": list(request.continuation_ids),
                "token_logprobs": values[:, 0].tolist(),
                "context_tokens": len(request.context_ids),
                "truncated": len(request.context_ids) < len(context),
            }
            for request, values, (_, context, _) in zip(fitting, read, requests, strict=True)
        ]
        results = []
        for (text, _, _), values in zip(requests, read, strict=True):
            answer = (float(values[:, 0].sum()), bool(values[:, 1].all()))
            self.cache_hook.add_partial("loglikelihood", text, answer)
            results.append(answer)
        return results

    def _request(self, context: list[int], continuation: list[int]) -> Request:
        """A request that fits the model: a context too long loses its left, as HFLM does it.

        Raises:
            UserError: if the continuation alone is too long.
        """
        kept = self.max_length + 1 - len(continuation)
        if kept < 1:
            raise UserError(
                f"an option has {len(continuation)} tokens, but the model reads at most "
                f"{self.max_length}"
            )
        return Request(tuple(context[-kept:]), tuple(continuation))


if __name__ == "__main__":
    cli_evaluate()
