"""Metrics, against other libraries, hand-worked cases and properties."""

import calibration
import hypothesis.strategies as st
import numpy as np
import pytest
import relplot
import torch
from hypothesis import given, settings
from netcal.metrics import ECE
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from torchmetrics.functional.classification import binary_calibration_error

from alignment_calibration.calibration.metrics.registry import METRICS
from alignment_calibration.calibration.metrics.sample import Sample
from alignment_calibration.calibration.predictions import Predictions, fixed_options
from alignment_calibration.study.settings import Settings
from tests.support.simulation import SETTINGS, simulate, softmax

BINNED_ERRORS = [
    "ece",
    "ece_equal_mass",
    "ece_debiased",
    "smooth_ece",
    "mce",
    "sce",
    "sce_ovr",
    "ace",
    "tace",
]


def values(predictions, bins=10, threshold=0.01):
    return Sample(predictions, METRICS, Settings(bins, threshold)).values()


# Other libraries


@pytest.mark.parametrize("bins", [1, 5, 10, 15, 30])
@pytest.mark.parametrize(("name", "norm"), [("ece", "l1"), ("mce", "max")])
def test_top_label_errors_agree_with_torchmetrics(name, norm, bins):
    # Its bins are left-closed: no difference on random confidences, which are on no edge.
    p = simulate(temperature=0.6)
    expected = binary_calibration_error(
        torch.tensor(p.confidence), torch.tensor(p.correct), n_bins=bins, norm=norm
    )
    assert values(p, bins)[name] == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("bins", [5, 10, 15])
def test_ece_agrees_with_netcal(bins):
    p = simulate(seed=1, temperature=0.5)
    expected = ECE(bins).measure(p.probabilities, p.gold)
    assert values(p, bins)["ece"] == pytest.approx(expected, abs=1e-9)


def test_sce_and_ace_agree_with_uncertainty_calibration():
    # Its marginal error is the p-norm over classes; with p=1 that is the static error.
    p = simulate(seed=2, temperature=0.7)
    found = values(p)
    for name, scheme in [
        ("sce", calibration.utils.get_equal_prob_bins),
        ("ace", calibration.utils.get_equal_bins),
    ]:
        expected = calibration.utils.lower_bound_scaling_ce(
            p.probabilities, p.gold, p=1, debias=False, num_bins=10, binning_scheme=scheme
        )
        assert found[name] == pytest.approx(expected, abs=1e-9)


def test_debiased_ece_agrees_with_the_drawn_estimator_of_uncertainty_calibration():
    np.random.seed(0)
    p = simulate(seed=3, questions=2000, temperature=0.8)
    keep = p.confidence > 0.35  # theirs needs two questions in every bin; the first three are empty
    p = fixed_options(p.probabilities[keep], p.gold[keep])
    edges = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    data = np.stack([p.confidence, p.correct], axis=1)
    binned = [data[(data[:, 0] > high - 0.1) & (data[:, 0] <= high)] for high in edges]
    expected = calibration.utils.normal_debiased_ce(binned, power=1, resamples=20000)
    assert values(p)["ece_debiased"] == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_smooth_ece_agrees_with_relplot(temperature):
    # relplot stops its search for the bandwidth at 1/1024. On its mesh, confidences within 0.001 of
    # 1 count half (the mirror image of the last point is left out): here are none.
    p = simulate(seed=4, questions=3000, temperature=temperature)
    p = fixed_options(0.9 * p.probabilities + 0.025, p.gold)
    expected = relplot.smECE(p.confidence, p.correct.astype(float))
    assert values(p)["smooth_ece"] == pytest.approx(expected, abs=1.5e-3)


def test_smooth_ece_of_certain_models_agrees_with_its_definition():
    p = simulate(seed=4, questions=1000, temperature=0.3)
    assert (p.confidence > 0.999).mean() > 0.2
    points = (np.arange(2000) + 0.5) / 2000
    residuals = p.confidence - p.correct

    def error(width):
        images = [2 * turn + sign * p.confidence for turn in (-1, 0, 1) for sign in (-1, 1)]
        smoothed = sum(norm.pdf(points[:, None], image, width) @ residuals for image in images)
        return np.abs(smoothed / len(p)).mean()

    width = brentq(lambda width: error(width) - width, 0.01, 1)
    assert values(p)["smooth_ece"] == pytest.approx(width, abs=5e-4)


def test_scores_agree_with_scikit_learn():
    p = simulate(seed=5, temperature=1.5)
    found = values(p)
    labels = range(p.probabilities.shape[1])
    brier = brier_score_loss(p.gold, p.probabilities, labels=labels, scale_by_half=False)
    assert found["brier"] == pytest.approx(brier, abs=1e-12)
    nll = log_loss(p.gold, p.probabilities, labels=labels)
    assert found["nll"] == pytest.approx(nll, abs=1e-12)
    assert found["auroc"] == pytest.approx(roc_auc_score(p.correct, p.confidence), abs=1e-12)


def test_auroc_with_ties_and_weights_agrees_with_scikit_learn():
    random = np.random.default_rng(6)
    p = simulate(seed=6)
    p = fixed_options(np.round(p.probabilities * 8) / 8, p.gold)
    weights = random.integers(0, 4, size=(3, len(p))).astype(np.float32)
    found = Sample(p, METRICS, SETTINGS).resampled(weights)["auroc"]
    expected = [roc_auc_score(p.correct, p.confidence, sample_weight=row) for row in weights]
    assert found == pytest.approx(expected, abs=1e-5)


# Hand-worked cases


def two_options(first, gold):
    first = np.array(first)
    return fixed_options(np.stack([first, 1 - first], axis=1), np.array(gold))


def test_class_wise_errors_by_hand_at_middling_accuracy():
    # Four questions, the first option at 0.75; it is right in one of four, and predicted in all.
    # sce: both classes |0.25 − 0.75| = 0.5. One-vs-rest accuracy is 0.25 in both classes, so
    # sce_ovr has |0.25 − 0.75| for the first and |0.25 − 0.25| for the second: 0.25 on average.
    # Top-1 correctness in every class's bins would give the same for two options; see below.
    p = two_options([0.75] * 4, [0, 1, 1, 1])
    found = values(p)
    assert found["accuracy"] == 0.25
    assert found["sce"] == pytest.approx(0.5)
    assert found["sce_ovr"] == pytest.approx(0.25)
    assert found["ece"] == found["mce"] == pytest.approx(0.5)
    assert found["overconfidence"] == pytest.approx(0.5)


def test_three_options_tell_one_vs_rest_from_top_label_correctness():
    # p = (0.6, 0.3, 0.1) five times; gold 0, 0, 1, 1, 2; predicted 0: accuracy 0.4.
    # Label frequencies 0.4, 0.4, 0.2: sce = (0.2 + 0.1 + 0.1)/3.
    # One-vs-rest accuracies 0.4, 0.6, 0.8: sce_ovr = (0.2 + 0.3 + 0.7)/3 = 0.4.
    # Top-label correctness in each class's bins would be (0.2 + 0.1 + 0.3)/3 = 0.2.
    p = fixed_options(np.tile([0.6, 0.3, 0.1], (5, 1)), np.array([0, 0, 1, 1, 2]))
    found = values(p)
    assert found["sce"] == pytest.approx(0.4 / 3)
    assert found["sce_ovr"] == pytest.approx(0.4)


def test_perfect_models_tell_the_two_class_wise_errors_apart():
    p = fixed_options(np.eye(4), np.arange(4))
    assert values(p)["sce"] == 0
    assert values(p)["sce_ovr"] == pytest.approx(3 / 4)


def test_classes_weigh_by_how_many_questions_have_them():
    # Two questions with two options, one with three; all gold 0, all probability on the first two.
    probabilities = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.4, 0.4, 0.2]])
    p = Predictions(probabilities, np.array([2, 2, 3]), np.zeros(3, int))
    # Sums of label − probability by class and bin: 0: 1.0 and 0.6; 1: 1.0 and 0.4; 2: 0.2. The
    # bins (0.4, 0.5] and (0.3, 0.4] are two. Seven options in all.
    assert values(p)["sce"] == pytest.approx((1.0 + 0.6 + 1.0 + 0.4 + 0.2) / 7)


def test_bins_are_right_closed_and_zero_is_in_the_first():
    # 0.7 is the upper edge of the seventh bin, and shares it with 0.65; 0 and 1 are in the outer.
    p = two_options([0.7, 0.65, 1.0], [0, 1, 0])
    # Bin of 0.65 and 0.7: |1 − 1.35| = 0.35; of 1.0: 0.
    assert values(p)["ece"] == pytest.approx(0.35 / 3)
    # Were 0.7 in the next bin, it would be 0.3 + 0.65.
    assert values(p)["mce"] == pytest.approx(0.175)


def test_equal_mass_bins_keep_equal_values_together():
    # Two bins of three; 0.6 four times cannot be divided, so the second bin has two.
    p = two_options([0.6, 0.6, 0.6, 0.6, 0.8, 0.9], [0, 0, 1, 1, 0, 1])
    assert values(p, bins=2)["ece_equal_mass"] == pytest.approx((0.4 + 0.7) / 6)


def test_thresholded_adaptive_error_by_hand():
    # One bin. Class 0: 0.995, 0.995, 0.3; labels 1, 0, 0: |2.29 − 1|/3. Class 1 above 0.01: 0.7
    # alone, label 1: 0.3. Equal class weights.
    p = two_options([0.995, 0.995, 0.3], [0, 1, 1])
    assert values(p, bins=1)["tace"] == pytest.approx((1.29 / 3 + 0.3) / 2)


def test_aurc_by_hand():
    # By falling confidence: right, wrong, right; risks 0, 1/2, 1/3.
    p = two_options([0.9, 0.8, 0.7], [0, 1, 0])
    assert values(p)["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    # With equal confidence each threshold takes all three.
    p = two_options([0.8, 0.8, 0.8], [0, 1, 0])
    assert values(p)["aurc"] == pytest.approx(1 / 3)


def test_brier_decomposition_adds_up_where_bins_hold_one_value():
    random = np.random.default_rng(7)
    first = random.choice([0.05, 0.25, 0.55, 0.85], size=400)
    found = values(two_options(first, (random.random(400) > first).astype(int)))
    parts = found["brier_reliability"] - found["brier_resolution"] + found["brier_uncertainty"]
    assert parts == pytest.approx(found["brier"], abs=1e-12)


# Properties


def cells(max_questions=40):
    """Predictions with 2 to 5 options per question, certain ones and ties among them."""

    @st.composite
    def draw_predictions(draw):
        count = draw(st.integers(1, max_questions))
        options = draw(st.lists(st.integers(2, 5), min_size=count, max_size=count))
        random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        sharpness = draw(st.sampled_from([0.0, 1.0, 5.0, 1000.0]))
        logits = sharpness * random.normal(size=(count, 5))
        logits[np.arange(5) >= np.array(options)[:, None]] = -np.inf
        return Predictions(softmax(logits), np.array(options), random.integers(0, options))

    return draw_predictions()


@given(cells(), st.integers(1, 20))
@settings(max_examples=60)
def test_calibration_errors_lie_between_0_and_1(p, bins):
    found = values(p, bins)
    for name in BINNED_ERRORS:
        assert -1e-12 <= found[name] <= 1 + 1e-9, name


@given(cells(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_the_order_of_questions_does_not_matter(p, seed):
    order = np.random.default_rng(seed).permutation(len(p))
    shuffled = Predictions(p.probabilities[order], p.options[order], p.gold[order])
    assert values(shuffled) == pytest.approx(values(p), abs=1e-9, nan_ok=True)


@given(st.permutations(range(4)), st.integers(0, 1000))
@settings(max_examples=40)
def test_the_order_of_labels_does_not_matter(order, seed):
    p = simulate(seed, questions=60)
    relabelled = fixed_options(p.probabilities[:, order], np.argsort(order)[p.gold])
    assert values(relabelled) == pytest.approx(values(p), abs=1e-9)


@given(cells(), st.integers(1, 20))
@settings(max_examples=40)
def test_weights_are_repetitions(p, bins):
    # A resample that draws a question twice is the sample with that question twice.
    weights = np.random.default_rng(0).integers(0, 3, size=len(p))
    weights[0] += 1
    rows = np.repeat(np.arange(len(p)), weights)
    repeated = Predictions(p.probabilities[rows], p.options[rows], p.gold[rows])
    metrics = {n: m for n, m in METRICS.items() if not m.letters_only}
    weighted = Sample(p, metrics, Settings(bins, 0.01)).resampled(weights[None].astype(np.float32))
    expected = Sample(repeated, metrics, Settings(bins, 0.01), reference=p).values()
    for name, value in expected.items():
        assert weighted[name][0] == pytest.approx(value, rel=1e-5, abs=1e-3, nan_ok=True), name


def test_predicting_the_base_rates_has_no_class_wise_error():
    gold = np.repeat([0, 1, 2], [5, 3, 2])
    p = fixed_options(np.tile([0.5, 0.3, 0.2], (10, 1)), gold)
    found = values(p)
    assert found["sce"] == found["ace"] == pytest.approx(0, abs=1e-12)
    assert found["sce_ovr"] > 0.1


def test_the_errors_of_a_calibrated_model_go_to_0():
    few, many = (values(simulate(8, n)) for n in (200, 100_000))
    # A wrong temperature does not go away.
    wrong = values(simulate(8, 20_000, temperature=0.5))
    for name in ("sce", "ace", "ece_debiased", "smooth_ece"):
        assert many[name] < 0.007 < few[name] < wrong[name], name


def test_letter_mass_is_a_metric_of_letters_only():
    p = simulate()
    assert "letter_mass" not in values(p)
    with_mass = Predictions(p.probabilities, p.options, p.gold, np.full(len(p), 0.25))
    assert values(with_mass)["letter_mass"] == 0.25
