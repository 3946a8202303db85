"""Steps add up to the whole, and a trend is tested at the level that it says."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from alignment_calibration.calibration.estimates import combined
from alignment_calibration.calibration.metrics.registry import select
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.metrics.step import measure_task
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.pairs import LADDER_STAGES, TRENDS
from alignment_calibration.pairs.changes import judged, pair_changes
from alignment_calibration.pairs.ladders import stage_means, trend_weights, trends
from alignment_calibration.study.settings import Resampling
from tests.support.simulation import SETTINGS, answers, draw_gold, softmax

METRICS = select(["accuracy", "ece", "nll", "auroc"])
MEMBERS = ["base", "sft", "dpo", "rlvr"]


def ladder(random: np.random.Generator, questions: int, *temperatures: float) -> list[Predictions]:
    """Models of one lineage on the same questions: the true logits, each with noise of its own."""
    logits = 1.5 * random.normal(size=(questions, 4))
    gold = draw_gold(random, softmax(logits))
    return [
        fixed_options(softmax((logits + 0.7 * random.normal(size=logits.shape)) / t), gold)
        for t in temperatures
    ]


def measured(tasks: dict[str, list[Predictions]]) -> dict[str, pd.DataFrame]:
    """Rows of MODEL_METRICS by model."""
    frames = {}
    for number, model in enumerate(MEMBERS):
        rows = [
            row
            for task, models in tasks.items()
            for row in measure_task(
                task,
                {"choice": answers(models[number])},
                METRICS,
                SETTINGS,
                Resampling(seed=0, resamples=200),
            )
        ]
        frame = pd.DataFrame(rows).assign(model=model).astype({"truncated": "Int64"})
        frames[model] = frame.reindex(columns=MODEL_METRICS.names)
    return frames


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    random = np.random.default_rng(0)
    tasks = {task: ladder(random, 300, 1.0, 0.9, 0.7, 0.5) for task in ("one", "two")}
    return measured(tasks)


def test_the_steps_add_up_to_the_whole(frames: dict[str, pd.DataFrame]) -> None:
    whole = pair_changes("whole", frames["base"], frames["rlvr"])
    steps = [pair_changes("step", frames[a], frames[b]) for a, b in pairwise(MEMBERS)]
    for column in ("change", "change_replicates"):
        parts = zip(*(step[column] for step in steps), strict=True)
        for found, wanted in zip(map(sum, parts), whole[column], strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)
    debiased = sum(step["aligned_debiased"] - step["base_debiased"] for step in steps)
    wanted = whole["aligned_debiased"] - whole["base_debiased"]
    np.testing.assert_allclose(debiased, wanted, atol=1e-12)


def test_there_is_no_trend_over_a_stage_that_was_not_measured(
    frames: dict[str, pd.DataFrame],
) -> None:
    """As a stage of which lm-eval noted sums alone, under a method that reads tokens."""
    sums = frames["sft"][frames["sft"]["task"] != "two"]
    found = trends(frames | {"sft": sums}, {"L": MEMBERS})
    wanted = trends(frames, {"L": MEMBERS})
    same = found.columns.drop("q_value")
    wanted = wanted[wanted["task"] != "two"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.reset_index(drop=True)[same], wanted[same])


def test_a_trend_is_the_slope_of_the_fitted_line(frames: dict[str, pd.DataFrame]) -> None:
    found = trends(frames, {"L": MEMBERS})
    assert list(found.columns) == TRENDS.names
    assert len(found) == len(frames["base"])
    for row in found.to_dict("records"):
        values = [
            frame[(frame["task"] == row["task"]) & (frame["metric"] == row["metric"])].iloc[0]
            for frame in frames.values()
        ]
        slope = stats.linregress(range(4), [value["value"] for value in values]).slope
        assert row["trend"] == pytest.approx(slope)
        assert row["q_value"] >= row["p_value"]


def test_the_trend_of_two_stages_is_the_change(frames: dict[str, pd.DataFrame]) -> None:
    found = trends(frames, {"L": ["base", "rlvr"]}).sort_values(["task", "metric"])
    changes = pair_changes("L", frames["base"], frames["rlvr"])
    nothing = pd.DataFrame(columns=["pair", "task", "method", "metric"], dtype=object)
    changes = judged(changes, nothing).sort_values(["task", "metric"])
    for ours, theirs in [
        ("trend", "change"),
        ("ci_low", "change_ci_low"),
        ("ci_high", "change_ci_high"),
        ("p_value", "p_value"),
    ]:
        np.testing.assert_allclose(found[ours], changes[theirs].astype(float), atol=1e-12)


def test_stage_means_are_means_over_tasks(frames: dict[str, pd.DataFrame]) -> None:
    found = stage_means(frames, {"L": MEMBERS})
    assert list(found.columns) == LADDER_STAGES.names
    for row in found.to_dict("records"):
        frame = frames[row["model"]]
        values = frame[frame["metric"] == row["metric"]]
        assert row["number"] == MEMBERS.index(row["model"])
        assert row["value"] == pytest.approx(values["value"].mean())
        # Two tasks of one kind: their mean is known better than either.
        if row["metric"] == "accuracy":
            width = (values["ci_high"] - values["ci_low"]).mean()
            assert row["ci_high"] - row["ci_low"] == pytest.approx(width / np.sqrt(2), rel=0.05)


@pytest.mark.slow
def test_the_trend_is_tested_at_its_level() -> None:
    """500 ladders of four models that nothing tells apart, and as many that grow over-confident."""
    random = np.random.default_rng(1)
    chosen = select(["accuracy", "nll", "ece"])
    rejected: dict[str, list[list[bool]]] = {name: [[], []] for name in chosen}
    for _ in range(500):
        for kind, temperatures in enumerate(((0.8,) * 4, (1.0, 0.8, 0.6, 0.45))):
            models = ladder(random, 150, *temperatures)
            found = [Sample(model, chosen, SETTINGS).estimates() for model in models]
            for name in chosen:
                slope = combined([stage[name] for stage in found], trend_weights(4).tolist())
                rejected[name][kind].append(slope.p_value < 0.05)
    for name, (level, power) in rejected.items():
        # Of 500 trials, 0.05 + 3 standard errors; an error's bias is bounded, so it may be less.
        assert np.mean(level) <= 0.08, name
        assert name == "ece" or np.mean(level) >= 0.02, name
        assert name == "accuracy" or np.mean(power) > 0.5, name
