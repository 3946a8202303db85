"""Ranks of pairs, against SciPy, hand-worked cases and the published ranks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, friedmanchisquare, kendalltau, spearmanr

from alignment_calibration.pairs.ranks import (
    kendall_tau,
    kendall_w,
    rank_agreement,
    rank_correlations,
    rank_pairs,
    rank_probabilities,
    w_interval,
)
from alignment_calibration.study.settings import Permuting

PUBLISHED = Path(__file__).parents[2] / "data" / "published" / "changes.csv"


def ranking(rates):
    return pd.DataFrame({"task": "t", "method": "choice", "metric": "ece", "change_rate": rates})


def test_ties_share_the_smaller_rank_and_a_missing_rate_has_none():
    changes = ranking([0.1, 0.5, None, 0.1, -2.0])
    assert rank_pairs(changes).tolist() == [2, 1, pd.NA, 2, 4]


def test_every_task_method_and_metric_ranks_by_itself():
    changes = pd.concat([ranking([0.1, 0.2]).assign(metric=metric) for metric in ("ece", "sce")])
    assert rank_pairs(changes.reset_index(drop=True)).tolist() == [2, 1, 2, 1]


def test_all_published_ranks_but_one_are_the_rank_of_the_published_rate():
    changes = pd.read_csv(PUBLISHED)
    differing = changes[rank_pairs(changes) != changes["rank"]]
    assert len(changes) == 570
    keys = ["pair", "task", "method", "metric"]
    assert differing[keys].to_numpy().tolist() == [
        ["Qwen2-72B", "hellaswag", "continuation_sum", "sce_ovr"]
    ]


def random_rates(seed, tasks=5, pairs=7):
    return np.random.default_rng(seed).normal(size=(tasks, pairs))


def made_changes(rates, method="choice", metric="ece"):
    """Changes of made-up tasks (rows) and pairs (columns)."""
    return pd.DataFrame(
        [
            {
                "task": f"task{t}",
                "pair": f"pair{p}",
                "method": method,
                "metric": metric,
                "change_rate": rate,
            }
            for t, row in enumerate(rates)
            for p, rate in enumerate(row)
        ]
    )


def test_kendall_w_agrees_with_the_mean_rank_correlation():
    # With no ties, the mean Spearman correlation of two tasks is (m·W − 1)/(m − 1).
    rates = random_rates(0)
    correlations = spearmanr(rates.T).statistic
    mean = correlations[np.triu_indices(5, 1)].mean()
    assert kendall_w(rates) == pytest.approx((1 + 4 * mean) / 5)


def test_kendall_w_agrees_with_friedman_s_test_where_there_are_ties():
    # Friedman's statistic, corrected for ties, is m (n − 1) W.
    rates = np.round(random_rates(1, 6, 5))
    expected = friedmanchisquare(*rates.T).statistic / (6 * 4)
    assert kendall_w(rates) == pytest.approx(expected)


def test_kendall_tau_agrees_with_scipy_with_and_without_ties():
    for seed in range(20):
        first, second = random_rates(seed, 2)
        for digits in (8, 0):
            orders = np.round(first, digits), np.round(first + second, digits)
            assert kendall_tau(*orders) == pytest.approx(kendalltau(*orders).statistic, nan_ok=True)
    assert np.isnan(kendall_tau(np.ones(4), np.arange(4.0)))
    assert np.isnan(kendall_tau(np.ones(1), np.ones(1)))


def test_kendall_w_of_one_ranking_and_of_opposite_rankings():
    rates = np.arange(6.0)
    assert kendall_w(np.stack([rates, 2 * rates + 1])) == pytest.approx(1)
    assert kendall_w(np.stack([rates, -rates])) == pytest.approx(0)
    assert np.isnan(kendall_w(rates[None]))
    assert np.isnan(kendall_w(np.ones((3, 4))))


def test_agreement_has_the_p_value_of_random_rankings():
    # For many tasks m (n − 1) W is chi-squared with n − 1 degrees of freedom.
    rates = random_rates(2, 30, 4) + 0.25 * np.arange(4)
    found = rank_agreement(made_changes(rates), Permuting(0, 4000)).iloc[0]
    assert (found.tasks, found.pairs) == (30, 4)
    assert found.p_value == pytest.approx(chi2.sf(30 * 3 * found.kendall_w, 3), abs=0.02)
    certain = np.tile(np.arange(7.0), (4, 1))
    assert rank_agreement(made_changes(certain), Permuting(0, 999)).iloc[0].p_value == 1 / 1000


def test_pairs_without_a_rate_on_some_task_are_left_out_of_the_agreement():
    rates = random_rates(3)
    rates[2, 4] = np.nan
    found = rank_agreement(made_changes(rates), Permuting(0, 99)).iloc[0]
    assert found.pairs == 6
    assert found.kendall_w == pytest.approx(kendall_w(np.delete(rates, 4, axis=1)))
    assert set(rank_correlations(made_changes(rates)).pairs) == {6}


def test_tasks_are_correlated_in_pairs():
    rates = np.array([[1.0, 2, 3, 4], [1.0, 2, 4, 3], [4.0, 3, 2, 1]])
    found = rank_correlations(made_changes(rates)).set_index(["task", "other_task"])
    # Of the six pairs of pairs, one is in another order.
    assert found.kendall_tau["task0", "task1"] == pytest.approx((5 - 1) / 6)
    assert found.kendall_tau["task0", "task2"] == pytest.approx(-1)


def test_rank_probabilities_by_hand():
    replicates = pd.DataFrame(
        {
            "pair": ["a", "b"],
            "task": "t",
            "method": "choice",
            "metric": "ece",
            # a first, b first, a tie (both first), and one in which b has no rate.
            "rate_replicates": [np.array([2.0, 1, 1, 0]), np.array([1.0, 2, 1, np.nan])],
        }
    )
    found = rank_probabilities(replicates).set_index(["pair", "rank"]).probability
    assert found["a", 1] == found["b", 1] == pytest.approx(2 / 3)
    assert found["a", 2] == found["b", 2] == pytest.approx(1 / 3)


@pytest.mark.parametrize("noise", [0.1, 0.4, 1.5])
@pytest.mark.parametrize("spread", [0.0, 1.5, 4.0])
def test_the_interval_of_w_holds_that_of_the_true_rates(spread, noise):
    random = np.random.default_rng(4)
    held = []
    for _ in range(200):
        true = spread * np.linspace(0, 1.7, 7) + random.normal(size=(5, 7))
        seen = true + noise * random.normal(size=true.shape)
        low, high = w_interval(seen, seen + noise * random.normal(size=(100, *true.shape)))
        assert low <= kendall_w(seen) <= high
        held.append(low <= kendall_w(true) <= high)
    # Binomial(200, 0.95) is below 181 once in 300 times.
    assert np.sum(held) > 180


def test_agreement_leaves_out_replicates_in_which_a_pair_has_no_rate():
    rates = random_rates(5, 3, 4)
    changes = made_changes(rates)
    random = np.random.default_rng(6)
    drawn = [rate + 0.5 * random.normal(size=50) for rate in rates.ravel()]
    drawn[2][7] = np.nan
    found = rank_agreement(changes, Permuting(0, 9), changes.assign(rate_replicates=drawn)).iloc[0]
    kept = np.delete(np.reshape(drawn, (3, 4, 50)), 7, axis=2).transpose(2, 0, 1)
    assert (found.ci_low, found.ci_high) == pytest.approx(w_interval(rates, kept))
    assert np.isnan(rank_agreement(changes, Permuting(0, 9)).iloc[0].ci_low)
