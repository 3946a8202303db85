"""Ladders of a config: pairs from end to end, and steps between."""

import json
from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.study import config
from alignment_calibration.study.ladders import same_checkpoint, shown_pair, steps_of
from tests.support.study import ROOT

SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
MODELS: dict[str, dict[str, Any]] = {
    name: {"hub": f"owner/{name}"} for name in ("base", "sft", "dpo", "rlvr", "again", "x" * 100)
}
MODELS |= {"sft-chat": {"hub": "owner/sft", "chat_template": True}}


def load(tmp_path: Path, **sections: Any) -> dict[str, Any]:
    file = tmp_path / "study.yaml"
    study = {
        "study": "s",
        "models": MODELS,
        "tasks": {"t": {"continuation": "a", "choice": "b"}},
        **sections,
    }
    file.write_text(json.dumps(study))
    return config.load([file], {}, SCHEMA)


def test_a_ladder_of_two_is_a_pair(tmp_path: Path) -> None:
    pair = load(tmp_path, pairs={"One": {"base": "base", "aligned": "sft"}})
    assert load(tmp_path, ladders={"One": ["base", "sft"]}) == pair


def test_a_ladder_is_a_pair_and_its_steps(tmp_path: Path) -> None:
    study = load(
        tmp_path,
        ladders={"Long": ["base", "sft", "dpo", "rlvr"], "Short": ["base", "again"]},
        pairs={"Other": {"base": "sft", "aligned": "sft-chat"}},
    )
    assert study["pairs"] == {
        "Other": {"base": "sft", "aligned": "sft-chat"},
        "Long": {"base": "base", "aligned": "rlvr"},
        "Short": {"base": "base", "aligned": "again"},
    }
    assert load(tmp_path, **{key: study[key] for key in ("pairs", "ladders")}) == study
    steps = steps_of(study["ladders"])
    assert list(steps.values()) == [
        {"base": "base", "aligned": "sft"},
        {"base": "sft", "aligned": "dpo"},
        {"base": "dpo", "aligned": "rlvr"},
    ]
    assert [shown_pair(slug) for slug in (*steps, "Short")] == [
        "Long: base → sft", "Long: sft → dpo", "Long: dpo → rlvr", "Short",
    ]  # fmt: skip
    assert all("/" not in slug and " " not in slug for slug in steps)


@pytest.mark.parametrize(
    ("sections", "problem"),
    [
        ({"ladders": {"L": ["base", "stf"]}}, r"L: found 'stf', .*did you mean 'sft'\?"),
        ({"ladders": {"L": ["base", "sft", "base"]}}, "L: 'base' and 'base' are the same"),
        ({"ladders": {"L": ["base", "sft", "sft-chat"]}}, "'sft' and 'sft-chat' are the same ch"),
        ({"ladders": {"L": ["base"]}}, "allowed: at least 2 entries$"),
        ({"ladders": {"L": "base"}}, "allowed: a list of at least 2 models"),
        ({"ladders": {}}, "ladders"),
        ({}, "needs at least one of pairs or ladders"),
        ({"ladders": {"y" * 99: ["base", "x" * 100]}}, "make 205 characters"),
        (
            {"ladders": {"L": ["base", "sft"]}, "pairs": {"L": {"base": "dpo", "aligned": "sft"}}},
            "L: the name of another pair as well",
        ),
        (
            {"ladders": {"L": ["base", "sft", "dpo"], "M": ["dpo", "sft"]}},
            "a model descends from itself",
        ),
    ],
)
def test_a_bad_ladder_is_one_line(sections: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=problem) as error:
        load(tmp_path, **sections)
    assert "\n" not in str(error.value)


def test_models_of_other_samples_are_no_same_checkpoint():
    assert not same_checkpoint({"samples": "a"}, {"samples": "b"})
    assert same_checkpoint({"samples": "a"}, {"samples": "a"})
