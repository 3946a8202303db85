"""Settings are made of a rule's slice: strictly, without defaults."""

import dataclasses

import pandas as pd
import pytest

from alignment_calibration.study.settings import Permuting, Primary, Resampling, Settings

STATISTICS = {
    "bins": 15,
    "tace_threshold": 0,
    "seed": 3,
    "resamples": 20,
    "resample": "questions",
    "permutations": 30,
}


def test_each_takes_its_own_keys_of_one_slice():
    assert Settings.of(STATISTICS) == Settings(bins=15, tace_threshold=0)
    assert Resampling.of(STATISTICS) == Resampling(seed=3, resamples=20)
    assert Permuting.of(STATISTICS) == Permuting(seed=3, permutations=30)


@pytest.mark.parametrize("kind", [Settings, Resampling, Permuting])
def test_a_missing_key_is_an_error_that_names_it(kind):
    for field in dataclasses.fields(kind):
        with pytest.raises(KeyError, match=field.name):
            kind.of({key: value for key, value in STATISTICS.items() if key != field.name})


def test_primary_rows_of_a_frame_and_a_row_by_itself():
    primary = Primary(metric="ece", method="choice")
    rows = [
        {"metric": "ece", "method": "choice"},
        {"metric": "ece", "method": "continuation_sum"},
        {"metric": "sce", "method": "choice"},
    ]
    assert [primary.holds(row) for row in rows] == [True, False, False]
    assert primary.holds(pd.DataFrame(rows)).tolist() == [True, False, False]
