"""The schema's lists of allowed names are those of the registries."""

from pathlib import Path
from typing import Any

import pytest

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.errors import UserError
from alignment_calibration.inputs.plan import GPUS
from alignment_calibration.study import config
from alignment_calibration.study.letters import TEMPLATES
from alignment_calibration.study.strict_yaml import read_yaml
from alignment_calibration.study.vocabulary import METHODS

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"


@pytest.fixture(scope="module")
def keys():
    return read_yaml(SCHEMA)["properties"]


def test_methods(keys):
    assert keys["methods"]["items"]["enum"] == list(METHODS)
    assert set(keys["methods"]["default"]) <= set(METHODS)


def test_metrics(keys):
    assert sorted(keys["metrics"]["items"]["enum"]) == sorted(METRICS)
    assert set(keys["metrics"]["default"]) <= set(METRICS)


def test_gpus_of_the_plan(keys):
    gpu = keys["plan"]["properties"]["gpu"]
    assert sorted(gpu["enum"]) == sorted(GPUS)
    assert gpu["default"] in GPUS


def test_built_in_letters_templates():
    """A task may name exactly these without a template of the user's."""
    task = read_yaml(SCHEMA)["$defs"]["task"]["properties"]["letters"]
    assert task["default"] in TEMPLATES
    study = {
        "study": "s",
        "models": {"a": {"path": "a"}, "b": {"path": "b"}},
        "pairs": {"P": {"base": "a", "aligned": "b"}},
        "methods": ["choice"],
        "tasks": {name: {"choice": "t", "letters": name} for name in TEMPLATES},
    }
    config.check(study, read_yaml(SCHEMA), "test")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"samples": "runs", "path": "a"}, "unknown key 'path'; allowed: samples"),
        ({"samples": "runs", "dtype": "float32"}, "unknown key 'dtype'; allowed: samples"),
        ({"samples": ["runs"]}, r"models\.a\.samples: found \[\"runs\"\]; allowed: text"),
        ({"gpus": 2}, "found gpus; needs exactly one of path or hub or samples"),
    ],
)
def test_samples_stand_alone_in_a_models_spec(spec, message):
    study: dict[str, Any] = {
        "study": "s",
        "models": {"a": {"samples": "runs/a"}, "b": {"path": "b"}},
        "pairs": {"P": {"base": "a", "aligned": "b"}},
        "tasks": {"t": {"continuation": "t", "choice": "t"}},
    }
    # No defaults either: there is nothing to decide on.
    assert config.check(study, read_yaml(SCHEMA), "test")["models"]["a"] == {"samples": "runs/a"}
    study["models"]["a"] = spec
    with pytest.raises(UserError, match=message):
        config.check(study, read_yaml(SCHEMA), "test")
