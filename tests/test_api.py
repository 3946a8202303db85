"""The library's functions, against other libraries, the workflow's own files and nonsense."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import relplot
import torch
import yaml
from netcal.metrics import ECE
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from alignment_calibration import api, compare, measure
from alignment_calibration.calibration.metrics.step import write_metrics
from alignment_calibration.contract.calibration import MODEL_METRICS
from alignment_calibration.contract.pairs import CHANGES
from alignment_calibration.files.frames import read_frame
from alignment_calibration.pairs.changes import read_changes, results_of_pairs
from alignment_calibration.pairs.contrasts import read_contrasts
from alignment_calibration.pairs.permutation_test import permutation_tests
from alignment_calibration.study.settings import Permuting, Resampling, Settings
from tests.support.simulation import simulate, simulate_pair, write_confidences

ROOT = Path(__file__).parents[1]
FAST = {"resamples": 20}


def values(predictions, **settings):
    found = measure(predictions.probabilities, predictions.gold, **FAST, **settings)
    return found.set_index("metric")["value"]


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(api).failed == 0


# Other libraries


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_errors_of_the_predicted_option_agree_with_torchmetrics_and_netcal(bins):
    p = simulate(seed=1, temperature=0.5)
    found = values(p, bins=bins)
    confidence, correct = torch.tensor(p.confidence), torch.tensor(p.correct)
    for name, norm in (("ece", "l1"), ("mce", "max")):
        expected = binary_calibration_error(confidence, correct, n_bins=bins, norm=norm)
        assert found[name] == pytest.approx(expected.item(), abs=1e-6)
    assert found["ece"] == pytest.approx(ECE(bins).measure(p.probabilities, p.gold), abs=1e-9)


def test_scores_agree_with_scikit_learn_and_relplot():
    p = simulate(seed=4, questions=3000, temperature=1.5)
    found = values(p)
    labels = range(p.probabilities.shape[1])
    predicted = p.probabilities.argmax(axis=1)
    expected = {
        "accuracy": accuracy_score(p.gold, predicted),
        "brier": brier_score_loss(p.gold, p.probabilities, labels=labels, scale_by_half=False),
        "nll": log_loss(p.gold, p.probabilities, labels=labels),
        "auroc": roc_auc_score(predicted == p.gold, p.probabilities.max(axis=1)),
    }
    assert found[list(expected)].to_dict() == pytest.approx(expected, abs=1e-12)
    # relplot stops its search for the bandwidth at 1/1024.
    smooth = relplot.smECE(p.confidence, p.correct.astype(float))
    assert found["smooth_ece"] == pytest.approx(smooth, abs=1.5e-3)


# The workflow


def test_columns_and_numbers_are_those_of_the_workflow(tmp_path):
    base, aligned = simulate_pair(np.random.default_rng(0), 200, 1.0, 0.5)
    names = ["accuracy", "ece", "sce", "auroc"]
    statistics = {
        "bins": 10,
        "tace_threshold": 0.01,
        "seed": 3,
        "resamples": 50,
        "resample": "questions",
        "permutations": 60,
    }
    files = {}
    for stage, predictions in (("base", base), ("aligned", aligned)):
        files[stage] = tmp_path / f"{stage}.parquet"
        write_confidences(files[stage], predictions)
        metrics = tmp_path / f"metrics-{stage}.parquet"
        settings, resampling = Settings.of(statistics), Resampling.of(statistics)
        write_metrics(stage, {"arc": files[stage]}, names, settings, resampling, metrics)
        found = measure(
            predictions.probabilities,
            predictions.gold,
            names,
            resamples=50,
            seed=3,
            model=stage,
            task="arc",
            method="choice",
        )
        pa.Table.from_pandas(found, schema=MODEL_METRICS)
        expected = read_frame(metrics, MODEL_METRICS)
        assert [*found.columns] == MODEL_METRICS.names
        numbers = [name for name in MODEL_METRICS.names if name != "truncated"]
        assert found["truncated"].isna().all()
        assert expected["truncated"].isna().all()
        for name in numbers:
            for here, there in zip(found[name], expected[name], strict=True):
                np.testing.assert_array_equal(here, there)

    tested = permutation_tests(
        read_contrasts("p", {"arc": files["base"]}, {"arc": files["aligned"]}, "questions"),
        names,
        settings,
        Permuting.of(statistics),
    )
    metrics = {stage: tmp_path / f"metrics-{stage}.parquet" for stage in files}
    pairs = {"p": {"base": "base", "aligned": "aligned"}}
    permuting = Permuting.of(statistics)
    of_pairs = results_of_pairs(read_changes(metrics, pairs, names), tested, permuting)
    expected = of_pairs["changes"]
    found = compare(
        base.probabilities,
        aligned.probabilities,
        base.gold,
        names,
        resamples=50,
        permutations=60,
        seed=3,
        pair="p",
        task="arc",
        method="choice",
    )
    assert [*found.columns] == CHANGES.names
    assert found.to_csv() == expected.to_csv()


def test_defaults_are_those_of_a_study():
    schema = yaml.safe_load((ROOT / "workflow" / "schemas" / "config.schema.yaml").read_text())
    defaults = {
        name: key["default"]
        for name, key in schema["properties"]["statistics"]["properties"].items()
    }
    of_studies = {"primary", "resample"}  # arrays are one analysis, and name no groups
    for function, names in (
        (measure, {"permutations", *of_studies}),
        (compare, of_studies),
    ):
        given = function.__kwdefaults__
        assert {name: given[name] for name in defaults.keys() - names} == {
            name: defaults[name] for name in defaults.keys() - names
        }


# Ragged questions


def test_missing_options_are_nan_or_masked_and_count_for_nothing():
    ragged = np.array([[0.5, 0.5, np.nan], [0.5, 0.5, np.nan], [0.4, 0.4, 0.2]])
    right = [0, 0, 0]
    found = measure(ragged, right, ["sce"], **FAST)
    # Worked by hand in test_metrics: seven options in all.
    assert found["value"].item() == pytest.approx((1.0 + 0.6 + 1.0 + 0.4 + 0.2) / 7)
    masked = measure(np.nan_to_num(ragged), right, ["sce"], mask=~np.isnan(ragged), **FAST)
    assert masked["value"].item() == found["value"].item()


def test_softmax_in_lower_precision_is_taken():
    p = simulate(questions=200, options=10)
    exact = values(p)["ece"]
    for kind, error in ((np.float32, 1e-6), (np.float16, 1e-2)):
        found = measure(p.probabilities.astype(kind), p.gold, ["ece"], **FAST)
        assert found["value"].item() == pytest.approx(exact, abs=error)


# Nonsense

TWO = [[0.9, 0.1], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("probabilities", "right", "settings", "message"),
    [
        ([0.9, 0.8], [0, 1], {}, r"found shape \(2,\); needs a row per question"),
        ([[1.0], [1.0]], [0, 0], {}, r"found shape \(2, 1\)"),
        (np.empty((0, 2)), [], {}, r"found shape \(0, 2\)"),
        ([[0.9, 0.1], [0.2, 0.5, 0.3]], [0, 1], {}, "fill up those of fewer options with NaN"),
        ([["a", "b"]], [0], {}, "needs numbers"),
        ([[0.9, 0.1], [2.9, 0.8]], [0, 1], {}, "question 1 has values that are not numbers"),
        ([[-0.1, 1.1], [0.2, 0.8]], [0, 1], {}, "question 0 has values that are not numbers"),
        ([[np.inf, 0.1]], [0], {}, "question 0 has values that are not numbers"),
        ([[0.9, 0.1], [0.9, 0.8]], [0, 1], {}, r"question 1 sums to 1.7; needs 1"),
        ([[-2.3, -0.1]], [0], {}, r"not numbers in \[0, 1\]"),  # log-probabilities
        ([[np.nan, 0.1, 0.9]], [1], {}, "misses an option before its last one"),
        ([[1.0, np.nan]], [0], {}, "question 0 has 1 option"),
        (TWO, [0, 2], {}, "right: question 1 is 2, which is no option"),
        (TWO, [0, -1], {}, "right: question 1 is -1"),
        ([[0.9, 0.1, np.nan]], [2], {}, "right: question 0 is 2, which is no option"),
        (TWO, [True, False], {}, "right: found bool"),
        (TWO, [0.0, 1.0], {}, "right: found float64"),
        (TWO, [0], {}, r"right: found int64 of shape \(1,\)"),
        (TWO, [0, 1], {"metrics": ["ece", "sharpness"]}, "found 'sharpness'; allowed: accuracy"),
        (TWO, [0, 1], {"metrics": ["letter_mass"]}, "found 'letter_mass'"),
        (TWO, [0, 1], {"metrics": "ece"}, "needs a list of names"),
        (TWO, [0, 1], {"bins": 0}, "bins: found 0"),
        (TWO, [0, 1], {"resamples": 2.5}, "resamples: found 2.5"),
        (TWO, [0, 1], {"seed": -1}, "seed: found -1"),
        (TWO, [0, 1], {"tace_threshold": 1}, "tace_threshold: found 1"),
        (TWO, [0, 1], {"mask": [[1, 1], [1, 1]]}, "mask: found int64"),
        (TWO, [0, 1], {"mask": [[True, True]]}, r"mask: found bool of shape \(1, 2\)"),
    ],
)
def test_nonsense_is_refused_by_name(probabilities, right, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        measure(probabilities, right, **settings)
    assert len(str(caught.value).splitlines()) == 1


def test_models_that_differ_in_their_options_are_not_compared():
    ragged = [[0.5, 0.5, np.nan], [0.2, 0.3, 0.5]]
    with pytest.raises(ValueError, match=r"aligned: found shape \(2, 2\)"):
        compare(ragged, TWO, [0, 1])
    with pytest.raises(ValueError, match="aligned: question 0 has 3 options, but base"):
        compare(ragged, [[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], [0, 1])
    with pytest.raises(ValueError, match=r"base: question 1 sums to 1\.2"):
        compare([[0.5, 0.5], [0.5, 0.7]], TWO, [0, 1])


def test_importing_the_package_imports_nothing_heavy():
    program = (
        "import sys, alignment_calibration\n"
        "assert not {'numpy', 'pandas', 'pyarrow', 'torch'} & set(sys.modules)\n"
        "from alignment_calibration import measure\n"
        "assert not {'torch', 'matplotlib', 'lm_eval', 'snakemake'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(ImportError):
        from alignment_calibration import mesure  # noqa: F401
