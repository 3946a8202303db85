"""Settings are made of a rule's slice: strictly, without defaults."""

import dataclasses

import pytest

from alignment_calibration.study.settings import Permuting, Resampling, Settings

STATISTICS = {"bins": 15, "tace_threshold": 0, "seed": 3, "resamples": 20, "permutations": 30}


def test_each_takes_its_own_keys_of_one_slice():
    assert Settings.of(STATISTICS) == Settings(bins=15, tace_threshold=0)
    assert Resampling.of(STATISTICS) == Resampling(seed=3, resamples=20)
    assert Permuting.of(STATISTICS) == Permuting(seed=3, permutations=30)


@pytest.mark.parametrize("kind", [Settings, Resampling, Permuting])
def test_a_missing_key_is_an_error_that_names_it(kind):
    for field in dataclasses.fields(kind):
        with pytest.raises(KeyError, match=field.name):
            kind.of({key: value for key, value in STATISTICS.items() if key != field.name})
