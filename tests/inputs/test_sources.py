"""Kinds of source: what they know of options, and what the schema knows of them."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.sources import (
    SOURCES,
    Spec,
    absence_notes,
    source_of,
    sums_only,
    unreadable,
)
from alignment_calibration.study.strict_yaml import read_yaml
from alignment_calibration.study.vocabulary import METHODS
from tests.support.study import ROOT

SAMPLES = {"samples": str(Path(__file__).parent / "samples" / "0.4.13" / "base")}
ASKED = {("words", "continuation"): ["demo_words"], ("words", "choice"): ["demo_words_choice"]}
CONTINUATIONS = ["continuation_sum", "continuation_min"]


def absent_methods(
    models: Mapping[str, Spec], asked: Mapping[tuple[str, str], list[str]], methods: Collection[str]
) -> dict[str, dict[str, set[str]]]:
    """Methods that cannot be read, as the workflow finds them."""
    sums = {model: sums_only(model, spec, asked, methods) for model, spec in models.items()}
    return unreadable(sums, asked, methods)


def with_tokens(folder: Path, *tasks: str) -> dict[str, str]:
    """The spec of samples in which some tasks have their tokens."""
    folder.mkdir()
    for file in Path(SAMPLES["samples"]).glob("samples_*"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        task = re.sub(r"samples_(.*)_2026.*", r"\1", file.name)
        for line in lines if task in tasks else []:
            for request, answer in zip(line["arguments"].values(), line["resps"], strict=True):
                request["arg_2"] = {
                    "token_ids": [7],
                    "token_logprobs": [float(answer[0][0])],
                    "context_tokens": 5,
                    "truncated": False,
                }
        (folder / file.name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return {"samples": str(folder)}


def test_every_source_is_in_the_schema():
    models = read_yaml(ROOT / "workflow" / "schemas" / "config.schema.yaml")["$defs"]
    assert [part["required"] for part in models["scored_model"]["oneOf"]] == [
        [key] for key in SOURCES
    ]
    assert {key for key, source in SOURCES.items() if not source.scored} == set(
        models["sampled_model"]["properties"]
    )


def test_sums_leave_out_what_reads_tokens(tmp_path):
    models = {
        "scored": {"path": "anywhere"},
        "sums": SAMPLES,
        "tokens": with_tokens(tmp_path / "tokens", "demo_words", "demo_words_choice"),
    }
    absent = absent_methods(models, ASKED, METHODS)
    assert absent["continuation_min"] == {"sums": {"words"}}
    assert "continuation_sum" not in absent
    assert absent_methods({"scored": models["scored"]}, ASKED, METHODS) == {}


def test_what_is_missing_is_said_by_model_and_task(tmp_path):
    asked = {(name, "continuation"): [name] for name in ("demo_words", "demo_words_choice")}
    models = {"half": with_tokens(tmp_path / "half", "demo_words"), "sums": SAMPLES}
    absent = absent_methods(models, asked, CONTINUATIONS)
    (note,) = absence_notes(absent, asked)
    assert note.startswith("continuation_min is missing for half (demo_words_choice), sums: of")
    many = absent_methods({f"m{number}": SAMPLES for number in range(9)}, asked, CONTINUATIONS)
    assert "m4, m5 and 3 more models: of" in absence_notes(many, asked)[0]
    assert absence_notes({}, asked) == []


def test_what_cannot_be_read_at_all_is_an_error():
    with pytest.raises(UserError, match=r"models\.llama: of words only sums .* cont"):
        absent_methods({"llama": SAMPLES}, ASKED, ["continuation_min"])
    with pytest.raises(UserError, match=r"models\.llama\.samples: nowhere: no such folder"):
        absent_methods({"llama": {"samples": "nowhere"}}, ASKED, METHODS)
    rotated = {("words", "choice_cyclic"): ["demo_words_choice"]}
    with pytest.raises(UserError, match=r"no questions as choice_cyclic; leave .* \(choice_cyclic"):
        absent_methods({"llama": SAMPLES}, rotated, METHODS)
    assert absent_methods({"llama": {"path": "anywhere"}}, rotated, METHODS) == {}


def test_the_plan_counts_no_hours_for_what_is_scored(tmp_path):
    size = source_of(SAMPLES).size(SAMPLES, ["demo_words"])
    (file,) = Path(SAMPLES["samples"]).glob("samples_demo_words_2*")
    assert (size.weights, size.disk, size.download) == (0, file.stat().st_size, 0)
