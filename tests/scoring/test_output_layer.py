"""Logits in float32: of what format they are on a GPU, and how often letters tie without them."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from alignment_calibration.files.logits import scoring_version
from alignment_calibration.scoring.output_layer import float32_product
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.scorer import Request
from benchmarks.ties import random_questions
from tests.support.architectures import TREE, tiny

HALF = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("bias", [False, True])
def test_logits_of_a_gpu_are_never_rounded_to_half_precision(dtype, bias):
    """Without a GPU: torch's stand-ins for its tensors know formats and shapes."""

    def rounded(states: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the layer's own product")

    with FakeTensorMode(), torch.inference_mode():
        head = torch.nn.Linear(8, 11, bias=bias, device="meta")
        head.weight = torch.nn.Parameter(torch.empty(11, 8, device="cuda", dtype=dtype))
        if bias:
            head.bias = torch.nn.Parameter(torch.empty(11, device="cuda", dtype=dtype))
        head.forward = rounded
        for shape in ((3, 8), (1, 3, 8)):
            logits = float32_product(head)(torch.empty(shape, device="cuda", dtype=dtype))
            assert (logits.dtype, logits.shape) == (torch.float32, (*shape[:-1], 11))


@pytest.mark.parametrize("dtype", [*HALF, torch.float32])
def test_elsewhere_logits_are_the_layer_s_own(dtype):
    head = torch.nn.Linear(8, 11).to(dtype)
    states = torch.randn(3, 8, dtype=dtype)
    with torch.inference_mode():
        logits = float32_product(head)(states)
        assert logits.dtype == torch.float32
        assert torch.equal(logits, head(states).float())


def test_letters_of_large_models_tie_in_half_precision_and_not_in_float32():
    """Between 16 and 32 bfloat16 knows a number in eight: letters around 18, give or take 1, tie
    for the first place in about six of a hundred questions."""
    questions = list(random_questions(500, logit=18))
    half = [torch.nn.functional.linear(*question) for question in questions]
    single = [hidden.float() @ weight.float().T for hidden, weight in questions]

    def tied(found: list[torch.Tensor]) -> float:
        return sum(int((logits == logits.max()).sum()) > 1 for logits in found) / len(found)

    assert 0.03 < tied(half) < 0.09
    assert tied(single) == 0


def test_half_precision_has_a_later_version_of_scoring():
    """Its logits on GPUs changed; cells in float32, and those that others scored, did not."""
    assert scoring_version({"dtype": "float32"}) == scoring_version({})
    for dtype in ("bfloat16", "float16"):
        assert scoring_version({"dtype": dtype}) == scoring_version({"dtype": "float32"}) + 2


def test_plain_scoring_takes_logits_as_a_gpu_can_sum_them(monkeypatch):
    """The product of a GPU is stood in for; what the model itself makes lies on a grid here."""
    model = tiny(TREE["llama"]()).to(torch.bfloat16)
    layer = model.get_output_embeddings()
    layer.weight.data *= 60
    single = layer.weight.detach().float()
    monkeypatch.setattr(
        "alignment_calibration.scoring.head.float32_product",
        lambda _: lambda states: states.float() @ single.T,
    )
    request = Request((5, 9, 14, 3, 8), (11, 4, 7))
    (found,) = PlainScorer(model, torch.device("cpu"), 100).score([request], lambda _: None)
    with torch.inference_mode():
        sequence = torch.tensor([request.input_ids])
        states = model.base_model(sequence, use_cache=False).last_hidden_state[0, -3:]
        exact, rounded = states.double() @ single.double().T, layer(states).double()
    targets = torch.tensor(request.continuation_ids)[:, None]
    wanted, coarse = (
        logits.log_softmax(dim=1).gather(1, targets)[:, 0].numpy() for logits in (exact, rounded)
    )
    assert abs(coarse - wanted).max() > 0.01
    assert abs(found - wanted).max() < 1e-4
