"""Ranks of pairs, against hand-worked cases and the published ranks."""

from pathlib import Path

import pandas as pd

from alignment_calibration.ranks import rank_pairs

PUBLISHED = Path(__file__).parents[1] / "data" / "published" / "changes.csv"


def cells(rates):
    return pd.DataFrame({"task": "t", "method": "choice", "metric": "ece", "change_rate": rates})


def test_ties_share_the_smaller_rank_and_a_missing_rate_has_none():
    changes = cells([0.1, 0.5, None, 0.1, -2.0])
    assert rank_pairs(changes).tolist() == [2, 1, pd.NA, 2, 4]


def test_every_task_method_and_metric_ranks_by_itself():
    changes = pd.concat([cells([0.1, 0.2]).assign(metric=metric) for metric in ("ece", "sce")])
    assert rank_pairs(changes.reset_index(drop=True)).tolist() == [2, 1, 2, 1]


def test_all_published_ranks_but_one_are_the_rank_of_the_published_rate():
    changes = pd.read_csv(PUBLISHED)
    differing = changes[rank_pairs(changes) != changes["rank"]]
    assert len(changes) == 570
    keys = ["pair", "task", "method", "metric"]
    assert differing[keys].to_numpy().tolist() == [
        ["Qwen2-72B", "hellaswag", "continuation_sum", "sce_ovr"]
    ]
