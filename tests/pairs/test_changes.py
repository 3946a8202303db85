"""From confidences to changes: files of the contract, pairing, intervals, effects over pairs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.stats import binomtest, false_discovery_control, ttest_1samp, ttest_rel

from alignment_calibration import compare
from alignment_calibration.calibration.bias_aware import estimate
from alignment_calibration.calibration.estimates import change
from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.calibration.resampling import SIGNIFICANCE
from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.contract.pairs import (
    CHANGES,
    EFFECTS,
    ESTIMATES,
    PAIR_EFFECTS,
    PERMUTATIONS,
    RANK_PROBABILITIES,
)
from alignment_calibration.errors import UserError
from alignment_calibration.files.frames import read_frame, write_frame
from alignment_calibration.files.parquet import read_identity, write_parquet
from alignment_calibration.pairs.changes import (
    estimates_of,
    join_metrics,
    read_changes,
    results_of_pairs,
)
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.mean_changes import effects, pair_effects, sign_test
from alignment_calibration.pairs.permutation_test import permutation_tests
from alignment_calibration.pairs.ranks import rank_probabilities
from alignment_calibration.study.settings import Permuting, Resampling
from tests.support.gaussian_models import Model, answer, draw_questions, tallied
from tests.support.simulation import SETTINGS, simulate_pair, write_confidences

RESAMPLING = Resampling(seed=0, resamples=100)
PAIRS = {
    "cold": {"base": "base", "aligned": "cold"},
    "same": {"base": "base", "aligned": "copy"},
    "warm": {"base": "base", "aligned": "warm"},
}
#: Questions whose context was cut; of `warm` nobody knows.
CUT: dict[str, set[int] | None] = {
    "base": {0, 1},
    "copy": {0, 1},
    "cold": {1, 2, 3},
    "warm": None,
}
NAMES = ["accuracy", "ece", "sce", "brier", "confidence", "auroc", "letter_mass"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Confidences and metrics of four models on two tasks; `copy` is `base` once more."""
    root = tmp_path_factory.mktemp("study")
    temperatures = {"base": 1.0, "copy": 1.0, "cold": 0.5, "warm": 1.5}
    for number, task in enumerate(["one", "two"]):
        for model, temperature in temperatures.items():
            random = np.random.default_rng(number)
            pair = simulate_pair(random, 150, 1.0, temperature)
            predictions = pair[0] if model in ("base", "copy") else pair[1]
            write_confidences(root / f"{model}-{task}.parquet", predictions, cut=CUT[model])
    files = {model: root / f"{model}.parquet" for model in temperatures}
    for model, path in files.items():
        write_metrics(model, confidences_of(root, model), NAMES, SETTINGS, RESAMPLING, path)
    return root, files


def confidences_of(root, model):
    return {task: root / f"{model}-{task}.parquet" for task in ("one", "two")}


@pytest.fixture(scope="module")
def changes(study):
    root, files = study
    tests = []
    for pair, models in PAIRS.items():
        tested = permutation_tests(
            read_contrasts(
                pair,
                confidences_of(root, models["base"]),
                confidences_of(root, models["aligned"]),
                "questions",
            ),
            NAMES,
            SETTINGS,
            Permuting(seed=0, permutations=99),
        )
        tests.append(root / f"test-{pair}.parquet")
        write_frame(tests[-1], tested, PERMUTATIONS)
    tested = pd.concat([read_frame(file, PERMUTATIONS) for file in tests])
    permuting = Permuting(seed=0, permutations=99)
    return results_of_pairs(read_changes(files, PAIRS, NAMES), tested, permuting)["changes"]


def whole(files):
    return pd.concat(read_changes(files, PAIRS, NAMES), ignore_index=True)


def cell(changes, pair, metric, task="one"):
    wanted = (changes.pair == pair) & (changes.metric == metric) & (changes.task == task)
    return changes[wanted].iloc[0]


def test_a_copy_of_the_base_changes_nothing_for_certain(changes):
    # Only if both saw the same resampled questions is the interval of their difference empty.
    same = changes[changes.pair == "same"]
    assert len(same) == 2 * len(NAMES)
    for column in ("change", "change_rate"):
        assert same[column].abs().max() == pytest.approx(0, abs=1e-6)
    # The bias of binned errors is bounded for each model by itself.
    exact = same[~same.metric.isin(["ece", "sce"])]
    for column in ("change_ci_low", "change_ci_high"):
        assert exact[column].abs().max() == pytest.approx(0, abs=1e-6)
    assert (same.change_ci_low <= 0).all()
    assert (same.change_ci_high >= 0).all()
    for column in ("p_value", "p_exchangeable"):
        assert (same[column] == 1).all()


def test_changes_rates_and_ranks_follow_from_the_values(changes):
    for row in changes.itertuples():
        assert row.change == pytest.approx(row.aligned - row.base)
        assert row.change_rate == pytest.approx(row.change / row.base)
        assert row.n == 150
    # The pairs by the confidence they gain: over-confident, the same, under-confident.
    ranks = {pair: cell(changes, pair, "confidence")["rank"] for pair in PAIRS}
    assert ranks == {"cold": 1, "same": 2, "warm": 3}


def test_questions_cut_for_either_model_are_counted_once(study, changes):
    counts = {pair: set(rows["truncated"]) for pair, rows in changes.groupby("pair")}
    assert counts == {"cold": {4}, "same": {2}, "warm": {pd.NA}}
    metrics = join_metrics(study[1], PAIRS)
    of_model = {model: set(rows["truncated"]) for model, rows in metrics.groupby("model")}
    assert of_model == {"base": {2}, "copy": {2}, "cold": {3}, "warm": {pd.NA}}


def test_tests_and_intervals_tell_a_lowered_temperature(changes):
    row = cell(changes, "cold", "confidence")
    assert row.p_exchangeable <= 0.03
    assert row.p_value <= row.q_value <= 0.01
    assert 0 < row.change_ci_low < row.change < row.change_ci_high
    assert 0 < row.rate_ci_low < row.change_rate < row.rate_ci_high
    assert 0 < row.mde < row.change
    # So few questions show that the predictions differ, but no change of the error.
    row = cell(changes, "cold", "ece")
    assert row.p_exchangeable <= 0.03
    assert row.change_ci_low < 0 < row.change_ci_high
    assert row.mde > row.change
    assert row.ci_covers


def test_q_values_are_over_pairs_and_tasks_of_one_metric(changes):
    for _, family in changes.groupby(["method", "metric"]):
        assert len(family) == len(PAIRS) * 2
        assert family.q_value.max() == pytest.approx(family.p_value.max())
    adjusted = false_discovery_control(changes.p_value)
    assert changes.q_all.to_numpy() == pytest.approx(adjusted)


def test_a_base_of_0_has_no_rate(tmp_path, study):
    _, files = study
    table = pq.read_table(files["base"])
    frame = table.to_pandas()
    frame.loc[frame.metric == "ece", "value"] = 0.0
    path = tmp_path / "zero.parquet"
    zero = pa.Table.from_pandas(frame, schema=table.schema.remove_metadata(), preserve_index=False)
    write_parquet(path, zero, read_identity(files["base"]))
    changes = whole(files | {"base": path})
    of_ece = changes[changes.metric == "ece"]
    assert of_ece.change_rate.isna().all()
    assert of_ece.change.notna().all()


def test_models_measured_on_other_questions_are_refused(tmp_path, study):
    _, files = study
    random = np.random.default_rng(0)
    paths = {task: tmp_path / f"{task}.parquet" for task in ("one", "two")}
    for path in paths.values():
        write_confidences(path, simulate_pair(random, 150)[0], questions="other")
    other = tmp_path / "other.parquet"
    write_metrics("cold", paths, NAMES, SETTINGS, RESAMPLING, other)
    with pytest.raises(UserError, match=r"other questions .*pair cold"):
        whole(files | {"cold": other})


def test_files_keep_the_contract(tmp_path, study, changes):
    _, files = study
    replicates = whole(files)
    for number, (frame, schema) in enumerate(
        [
            (changes, CHANGES),
            (join_metrics(files, PAIRS), ALL_METRICS),
            (estimates_of(replicates), ESTIMATES),
            (effects(replicates), EFFECTS),
            (pair_effects(replicates), PAIR_EFFECTS),
            (rank_probabilities(replicates), RANK_PROBABILITIES),
        ]
    ):
        path = tmp_path / f"{number}.parquet"
        write_frame(path, frame, schema)
        read = read_frame(path, schema)
        assert list(read.columns) == schema.names
        keys = [name for name in schema.names if pa.types.is_string(schema.field(name).type)]
        assert not read.duplicated([*keys, *(["rank"] if "rank" in read else [])]).any()


def test_the_same_inputs_give_the_same_bytes(tmp_path, study):
    root, files = study
    again = tmp_path / "again.parquet"
    write_metrics("cold", confidences_of(root, "cold"), NAMES, SETTINGS, RESAMPLING, again)
    assert again.read_bytes() == files["cold"].read_bytes()


def test_metrics_have_replicates_about_their_value(study):
    _, files = study
    table = pq.read_table(files["cold"]).to_pandas()
    assert set(table.metric) == set(NAMES)
    accuracy = table[table.metric == "accuracy"].iloc[0]
    assert len(accuracy.replicates) == RESAMPLING.resamples
    expected = np.sqrt(accuracy.value * (1 - accuracy.value) / 150)
    assert accuracy.replicates.std() == pytest.approx(expected, rel=0.25)
    assert accuracy.ci_low < accuracy.value < accuracy.ci_high


def test_every_pair_has_some_rank(study):
    _, files = study
    found = rank_probabilities(whole(files))
    sums = found.groupby(["task", "method", "metric", "pair"]).probability.sum()
    assert sums.to_numpy() == pytest.approx(1)
    # Confidence gains are far apart: certain ranks.
    certain = found[(found.metric == "confidence") & (found.pair == "cold") & (found["rank"] == 1)]
    assert (certain.probability == 1).all()


def made_changes(values, metric="ece", width=0.0):
    """Changes of made-up pairs (rows) on made-up tasks (columns), with replicates."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        [
            {
                "pair": f"pair{p}",
                "task": f"task{t}",
                "method": "choice",
                "metric": metric,
                "change": change,
                "base_estimate": None,
                "change_replicates": change + width * random.normal(size=500),
            }
            for p, row in enumerate(values)
            for t, change in enumerate(row)
        ]
    )


def test_the_effect_over_pairs_has_the_interval_of_a_t_test_of_pairs():
    # Without noise of the questions only the pairs vary.
    pairs = np.random.default_rng(1).normal(0.1, 0.05, size=40)
    found = effects(made_changes(np.stack([pairs, pairs], axis=1))).iloc[0]
    assert found.mean_change == pytest.approx(pairs.mean())
    expected = ttest_1samp(pairs, 0).confidence_interval()
    assert (found.ci_low, found.ci_high) == pytest.approx(tuple(expected))
    # One pair has only its questions.
    found = effects(made_changes([[0.1, 0.1]], width=0.02)).iloc[0]
    half = (found.ci_high - found.ci_low) / 2
    assert half == pytest.approx(1.96 * 0.02 / np.sqrt(2), rel=0.15)


@pytest.mark.parametrize(("rises", "falls"), [(0, 0), (1, 0), (3, 3), (2, 5), (30, 12)])
def test_the_sign_test_agrees_with_scipy(rises, falls):
    expected = binomtest(rises, rises + falls).pvalue if rises + falls else 1
    assert sign_test(rises, falls) == pytest.approx(expected)


def test_pairs_and_tasks_that_worsen_are_counted_by_the_metric_s_direction():
    values = [[0.1, 0.3, -0.1], [0.2, 0.2, 0.2], [-0.1, -0.1, 0.1]]
    found = effects(made_changes(values, "ece")).iloc[0]
    assert found.pairs_worse == 2
    assert found.tasks_worse == 3
    assert found.sign_p_value == pytest.approx(binomtest(2, 3).pvalue)
    assert effects(made_changes(values, "accuracy")).iloc[0].pairs_worse == 1
    assert effects(made_changes(values, "confidence")).pairs_worse.isna().all()
    assert pair_effects(made_changes(values, "ece")).tasks_worse.tolist() == [2, 3, 1]
    shares = pair_effects(made_changes(values, "accuracy")).share_worse
    assert shares.tolist() == pytest.approx([1 / 3, 0, 2 / 3])


def test_the_config_allows_the_metrics_of_the_registry():
    schema = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
    allowed = yaml.safe_load(schema.read_text())["properties"]["metrics"]["items"]["enum"]
    assert allowed == list(METRICS)


# What is said of a change

ALL = [name for name in METRICS if name != "letter_mass"]


@pytest.mark.parametrize("seed", range(4))
def test_rate_change_and_test_never_contradict_each_other(seed):
    random = np.random.default_rng(seed)
    accuracies, temperatures = random.uniform(0.4, 0.9, 2), random.uniform(0.5, 1.6, 2)
    asked = draw_questions(random, 200)
    base, aligned = (
        answer(random, asked, Model(*model)) for model in zip(accuracies, temperatures, strict=True)
    )
    found = compare(
        base.probabilities,
        aligned.probabilities,
        asked.gold,
        ALL,
        resamples=300,
        permutations=19,
        seed=seed,
    )
    assert set(found.metric) == set(ALL)
    for row in found.itertuples():
        if not np.isnan(row.rate_ci_low):
            assert (row.rate_ci_low > 0) == (row.change_ci_low > 0), row.metric
            assert (row.rate_ci_high < 0) == (row.change_ci_high < 0), row.metric
        if row.p_value < SIGNIFICANCE:
            assert row.change_ci_low > 0 or row.change_ci_high < 0, row.metric
        assert row.ci_covers == (not np.isnan(row.p_value)), row.metric
    known = found[found.p_value.notna() & (found.p_value < 0.8)]
    assert len(known) > 5


def test_a_change_of_a_mean_is_judged_by_the_paired_t_test():
    base, aligned = simulate_pair(np.random.default_rng(5), 80, 1.0, 0.7)
    found = compare(
        base.probabilities, aligned.probabilities, base.gold, ["brier"], resamples=1, permutations=1
    ).iloc[0]
    expected = ttest_rel(aligned.squared_error, base.squared_error)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-5)
    ends = expected.confidence_interval()
    assert (found.change_ci_low, found.change_ci_high) == pytest.approx(tuple(ends), rel=1e-5)


def test_equal_mass_bins_are_tested_as_they_are_reported():
    # Each model in bins of its own: of one model alone, the same number.
    base, aligned = simulate_pair(np.random.default_rng(6), 300, 1.0, 0.5)
    names = ["ece_equal_mass", "ace"]
    found = compare(
        base.probabilities, aligned.probabilities, base.gold, names, resamples=1, permutations=1
    ).set_index("metric")
    for name in names:
        before, after = (estimate(*tallied(model, name)) for model in (base, aligned))
        assert found.loc[name, "change"] == pytest.approx(after.value - before.value)
        assert found.loc[name, "p_value"] == pytest.approx(change(before, after).p_value, rel=1e-4)
