"""What tests of scoring share."""

import random

import pytest

from alignment_calibration.scoring.scorer import Request
from tests.scoring.test_scorers import ids


@pytest.fixture(scope="module")
def questions() -> list[Request]:
    """Forty of twenty tokens, which share none, and one letter each: under a budget of 70, three in
    each of 14 rows.
    """
    rng = random.Random(5)
    return [Request((3 + number, *ids(rng, 19)), ids(rng, 1)) for number in range(40)]
