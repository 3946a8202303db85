"""What the benchmarks of scoring compare with, and what they count as work."""

import numpy as np
import pytest
import torch

from alignment_calibration.scoring.scorer import Request
from benchmarks import gpu, scoring


@pytest.mark.parametrize("workload", ["arc-like", "letters"])
def test_padded_batches_are_those_of_hflm(workload, monkeypatch):
    model = gpu.built("tiny", torch.float32, torch.device("cpu"))
    requests = gpu.requests_of(workload, 3, model.config.vocab_size)
    measured = gpu.Measured(model, torch.device("cpu"))
    wanted, _, tokens, _ = measured(lambda: gpu.Padded(model)(requests, 4))
    monkeypatch.setattr(gpu, "HFLM", None)
    found, _, computed, _ = measured(lambda: gpu.Padded(model)(requests, 4))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert computed == tokens


def test_work_leaves_out_embeddings_and_counts_the_output_layer_where_it_is_asked():
    """By hand: two layers of width 64 (4 · 64 · 64, less half of keys and values; 3 · 64 · 128; two
    norms) and a last norm for each token, 500 · 64 for each place with something to predict."""
    model = gpu.built("tiny", torch.float32, torch.device("cpu"))
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
    requests = [Request((1, 2, 3), (4,)), Request((1, 2, 3), (5,)), Request((1, 2, 3), (4, 6))]
    # After 3 and after 4.
    assert scoring.operations(model, 4, requests) == 2 * (4 * (2 * layer + 64) + 2 * 500 * 64)
