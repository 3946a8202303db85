"""The multiverse: readings by hand, universes against the metrics, counting of conclusions."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import ttest_1samp

from alignment_calibration.calibration.confidences import option_scores, read_method
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.contract.scoring import LOGITS
from alignment_calibration.errors import UserError
from alignment_calibration.files.logits import logits_beside, write_logits, write_receipt
from alignment_calibration.files.parquet import values_digest
from alignment_calibration.pairs.multiverse import (
    BINS,
    count_conclusions,
    pair_multiverse,
    read_predictions,
    worsening,
)
from alignment_calibration.study.settings import Settings
from alignment_calibration.study.vocabulary import CONTINUATION, READINGS
from tests.support.simulation import simulate_pair


def logit_rows(token_logprobs, sizes, gold, byte_counts=None):
    """Rows of a logit file; `sizes` are the numbers of options of the questions."""
    questions = np.repeat(np.arange(len(sizes)), sizes)
    choices = np.concatenate([np.arange(size) for size in sizes])
    count = len(token_logprobs)
    return pa.table(
        {
            "question_id": [f"q{number:04d}" for number in questions],
            "choice": pa.array(choices, pa.int16()),
            "gold": pa.array(np.repeat(gold, sizes), pa.int16()),
            "group": ["g"] * count,
            "token_ids": [[1] * len(tokens) for tokens in token_logprobs],
            "token_logprobs": token_logprobs,
            "continuation_bytes": pa.array(byte_counts or [4] * count, pa.int32()),
            "context_tokens": pa.array([9] * count, pa.int32()),
            "truncated": [False] * count,
        },
        schema=LOGITS,
    )


def test_readings_by_hand():
    rows = logit_rows([[-1.0, -3.0], [-2.0]], [2], [0], byte_counts=[8, 5])
    found = {
        name: option_scores(rows, name).tolist()
        for name, reading in READINGS.items()
        if CONTINUATION in reading.prompts
    }
    assert found == {
        "sum": [-4.0, -2.0],
        "mean_token": [-2.0, -2.0],
        "mean_byte": [-0.5, -0.4],
        "min": [-3.0, -2.0],
    }


def logits_of(predictions):
    """Logit rows of one token per option that give these predictions."""
    logs = np.log(predictions.probabilities.ravel()).astype(np.float32)
    sizes = predictions.options.tolist()
    return logit_rows([[value] for value in logs], sizes, predictions.gold)


def test_sums_are_read_as_the_confidences_step_reads_them():
    random = np.random.default_rng(0)
    sizes = [3, 5, 4]
    tokens = [list(random.normal(size=random.integers(1, 4)) - 3) for _ in range(12)]
    rows = logit_rows(tokens, sizes, [0, 1, 2])
    found = read_predictions("continuation", rows, "questions")
    for reading, method in [("sum", "continuation_sum"), ("min", "continuation_min")]:
        expected = read_method(rows, method)["probabilities"].to_pylist()
        for got, wanted in zip(found[reading].probabilities, expected, strict=True):
            assert got[: len(wanted)] == pytest.approx(wanted)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("multiverse")
    predictions = simulate_pair(np.random.default_rng(1), 600, 1.0, 0.5, noise=0.1)
    files: list[Any] = []
    for stage, of_model in zip(("base", "aligned"), predictions, strict=True):
        receipt = root / f"{stage}.receipt.json"
        rows = logits_of(of_model)
        write_logits(logits_beside(receipt), rows, {"model": stage})
        write_receipt(receipt, {"model": stage}, values_digest(rows))
        files.append({("task", "continuation"): (receipt, {"model": stage})})
    return predictions, files, pair_multiverse("pair", files[0], files[1], "questions")


def test_every_universe_is_tested_once(pair):
    _, _, found = pair
    keys = ["task", "metric", "bins", "binning", "reading"]
    assert not found.duplicated(keys).any()
    binned = found[found.bins.notna()]
    assert set(binned.bins) == set(BINS)
    # Metrics × bins × kinds of bins × readings.
    assert len(binned) == binned.metric.nunique() * len(BINS) * 2 * 4
    assert set(found[found.bins.isna()].metric) == {"accuracy", "brier", "nll", "smooth_ece"}


def test_universes_agree_with_the_metrics(pair):
    predictions, _, found = pair
    of_sums = found[found.reading == "sum"].set_index(["metric", "bins", "binning"]).change
    for bins in (5, 15):
        before, after = (Sample(p, METRICS, Settings(bins, 0.01)).values() for p in predictions)
        for name in ("ece", "sce", "sce_ovr", "mce", "ece_debiased"):
            found_change = of_sums[name, bins, "equal_width"]
            assert found_change == pytest.approx(after[name] - before[name], abs=1e-5)


def test_a_lowered_temperature_is_found_in_every_kind_of_bins(pair):
    _, _, found = pair
    errors = found[(found.metric == "ece") & (found.reading == "sum")]
    assert (errors.change > 0).all()
    assert (errors.p_value <= 0.05).all()


def test_logits_of_other_questions_are_refused(pair):
    _, files, _ = pair
    (receipt, _), *_ = files[0].values()
    other = {("task", "continuation"): (receipt, {"model": "another"})}
    with pytest.raises(UserError, match="scored with another model"):
        pair_multiverse("pair", other, files[1], "questions")


def test_conclusions_are_counted_by_direction_and_corrected():
    contrasts = pd.DataFrame(
        {
            "pair": ["a", "b", "c", "d"] * 2,
            "task": "task",
            "metric": ["ece"] * 4 + ["accuracy"] * 4,
            "bins": pd.array([10] * 4 + [None] * 4, dtype="Int64"),
            "binning": ["equal_width"] * 4 + [None] * 4,
            "reading": "sum",
            "base": 0.2,
            "aligned": [0.3, 0.4, 0.1, 0.3] * 2,
            "change": [0.1, 0.2, -0.1, 0.1] * 2,
            "change_debiased": [0.1, 0.2, -0.1, 0.1] * 2,
            # q-values of the first universe: 0.004, 0.02, 0.0267, 0.06.
            "p_value": [0.001, 0.01, 0.02, 0.06, 0.001, 0.3, 0.5, 0.9],
        }
    )
    found: Any = count_conclusions(contrasts).set_index("metric")
    assert found.loc["ece", ["contrasts", "worse", "better", "undecided"]].tolist() == [
        4,
        0.5,
        0.25,
        0.25,
    ]
    assert found.loc["ece", "worsening"] == pytest.approx(1.1 / 0.8)
    # A rise of accuracy is for the better.
    assert found.loc["accuracy", ["worse", "better", "undecided"]].tolist() == [0, 0.25, 0.75]
    assert found.loc["accuracy", "worsening"] == pytest.approx(0.8 / 1.1)


def test_metrics_without_a_test_have_no_shares(pair):
    _, _, found = pair
    assert set(found[found.p_value.isna()].metric) == {"mce", "smooth_ece"}
    counted = count_conclusions(found)
    shares = counted[["worse", "better", "undecided"]].sum(axis=1, skipna=False)
    untested = counted.metric.isin(["mce", "smooth_ece"])
    assert shares[untested].isna().all()
    assert shares[~untested].to_numpy() == pytest.approx(1)
    assert counted[untested].worsening.notna().all()


def universe(base, aligned, metric="ece"):
    """Contrasts of one universe, from values of shape (pairs, tasks)."""
    pairs, tasks = np.indices(aligned.shape)
    return pd.DataFrame(
        {
            "pair": pairs.ravel(),
            "task": tasks.ravel(),
            "metric": metric,
            "base": np.broadcast_to(base, aligned.shape).ravel(),
            "aligned": aligned.ravel(),
        }
    )


@pytest.mark.parametrize("shape", [(7, 1), (7, 10), (1, 10)])
def test_small_effects_have_the_interval_of_a_t_test_over_pairs_or_tasks(shape):
    changes = 1e-4 * np.random.default_rng(0).normal(1, 1, shape)
    factor, low, high = worsening(universe(2.0, 2.0 + 2.0 * changes))
    of_units = changes.mean(axis=1) if shape[0] > 1 else changes[0]
    expected = ttest_1samp(of_units, 0).confidence_interval()
    assert factor - 1 == pytest.approx(changes.mean(), rel=1e-3)
    assert (low - 1, high - 1) == pytest.approx(tuple(expected), rel=1e-2)


def test_the_interval_of_an_effect_holds_the_truth():
    # Errors of seven pairs and five tasks whose pairs differ by more than their tasks do.
    random = np.random.default_rng(1)
    held = 0
    for _ in range(500):
        base = 0.05 * np.exp(0.3 * random.normal(size=(7, 1)) + 0.2 * random.normal(size=(7, 5)))
        factors = np.exp(0.5 * random.normal(size=(7, 1)) + 0.2 * random.normal(size=(7, 5)))
        _, low, high = worsening(universe(base, base * factors))
        held += low <= np.exp((0.5**2 + 0.2**2) / 2) <= high  # the mean of the factors
    # Skewed as they are, a t-interval of seven holds them a little less often than nominal.
    assert 0.88 <= held / 500 <= 0.98


def test_effects_that_do_not_exist_are_missing():
    nothing = universe(0.0, np.ones((2, 2)))
    assert np.isnan(worsening(nothing)).all()
    factor, low, high = worsening(universe(0.1, np.full((1, 1), 0.2)))
    assert factor == pytest.approx(2)
    assert np.isnan([low, high]).all()
