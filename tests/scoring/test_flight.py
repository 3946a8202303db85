"""Rows in flight: results come late, and come all, and once, whatever happens to a later row."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from alignment_calibration.scoring import flight, tree, trie
from alignment_calibration.scoring.flight import InFlight, rows_ahead
from alignment_calibration.scoring.plain import PlainScorer
from alignment_calibration.scoring.tree import TreeScorer
from tests.scoring.test_scorers import ignore, largest_difference
from tests.support.architectures import TREE, tiny

CPU = torch.device("cpu")


@given(most=st.integers(1, 6), rows=st.integers(0, 20))
def test_a_row_is_waited_for_when_so_many_are_behind_it(most, rows):
    """With a device whose events say when they are waited for."""
    log: list[tuple[str, int]] = []

    def fetched(values):
        number = int(values)
        log.append(("launched", number))
        return values, lambda: log.append(("waited for", number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flight, "_fetched", fetched)
        flying: InFlight[int] = InFlight(most)
        landed = []
        for number in range(rows):
            landed += flying.launch(number, torch.tensor(float(number)))
        landed += flying.land()
    assert [(what, float(value)) for what, value in landed] == [(n, float(n)) for n in range(rows)]
    for number in range(rows):
        before = log[: log.index(("waited for", number))]
        launched = [row for kind, row in before if kind == "launched"]
        assert launched == list(range(min(number + most + 1, rows)))


def test_layers_on_two_devices_have_twice_the_rows_in_flight():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    assert rows_ahead(model) == 2
    model[1].to("meta")
    assert rows_ahead(model) == 4


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny(TREE["llama"]())


def test_any_number_in_flight_gives_the_same_bits(model, questions, monkeypatch):
    wanted = TreeScorer(model, CPU, 70).score(questions, ignore)
    for ahead in (1, 4, 100):
        monkeypatch.setattr(tree, "rows_ahead", lambda model, ahead=ahead: ahead)
        found = TreeScorer(model, CPU, 70).score(questions, ignore)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("failing", [1, 2, 5, 13])
def test_what_was_launched_before_memory_ran_out_is_not_lost(
    failing, model, questions, monkeypatch
):
    """The row of that number fails; what was launched before it is not computed again."""
    wanted = PlainScorer(model, CPU, 1000).score(questions, ignore)
    rows: list[int] = []
    asked: list[int] = []
    forward = type(model.model).forward

    def run_short(self, input_ids, **others):
        rows.append(input_ids.numel())
        if len(rows) == failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids=input_ids, **others)

    def noted(requests):
        asked.append(len(requests))
        return trie.build_trie(requests)

    monkeypatch.setattr(type(model.model), "forward", run_short)
    monkeypatch.setattr(tree, "build_trie", noted)
    scorer = TreeScorer(model, CPU, 70)
    done: list[int] = []
    assert largest_difference(scorer.score(questions, done.append), wanted) < 1e-5
    assert sum(done) == len(questions)
    launched = sum(tokens // 20 for tokens in rows[: failing - 1])
    assert asked == [len(questions), len(questions) - launched]
    assert scorer.token_budget == 35


def test_nothing_of_a_forward_pass_holds_while_others_have_the_word(model, questions):
    """A generator that is left within `with` would leave its caller in there as well."""
    before = model.config._attn_implementation
    seen = []

    def progress(number):
        seen.append((torch.is_inference_mode_enabled(), model.config._attn_implementation))

    TreeScorer(model, CPU, 70).score(questions, progress)
    assert len(seen) > 5
    assert set(seen) == {(False, before)}

    def stop(number):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TreeScorer(model, CPU, 70).score(questions, stop)
    assert not torch.is_inference_mode_enabled()
    assert model.config._attn_implementation == before
