"""Simulates the tidy tables of a study of any size in the form of the contract, for tests."""

import itertools

import numpy as np
import pandas as pd

from alignment_calibration.contract.calibration import ALL_METRICS, SCE_AUDIT
from alignment_calibration.contract.pairs import (
    CHANGES,
    DECOMPOSITION,
    EFFECTS,
    LADDER_STAGES,
    LETTER_PARTS,
    MAP_EFFECTS,
    MAP_PARTS,
    MULTIVERSE,
    OPTION_ORDER,
    PAIR_EFFECTS,
    RANK_PROBABILITIES,
    REMEDIED,
    REMEDY_EFFECTS,
    TRENDS,
)
from alignment_calibration.pairs.multiverse import universes
from alignment_calibration.pairs.ranks import rank_correlations, rank_pairs
from alignment_calibration.pairs.remedies import REMEDIES
from alignment_calibration.study.vocabulary import METHODS
from tests.support.made_changes import make_agreement

#: Names of the length that real ones have.
PAIRS = [
    "Llama-2-7b",
    "Llama-3-8B",
    "Llama-3-70B",
    "Mistral-7B",
    "OLMo-7B",
    "gemma-7b",
    "Qwen2-72B",
    "Qwen2.5-0.5B",
    "Qwen2.5-14B",
    "SmolLM2-1.7B",
    "OLMo-2-1124-13B",
    "Falcon3-10B",
    "Yi-1.5-34B",
    "gemma-2-27b",
    "Mixtral-8x22B-v0.1",
    "Llama-3.1-405B",
    "phi-4",
    "Pythia-6.9b",
    "granite-3.0-8b",
    "DeepSeek-LLM-67B",
]
TASKS = [
    "arc_challenge",
    "arc_easy",
    "hellaswag",
    "medmcqa",
    "mmlu_humanities",
    "mmlu_other",
    "mmlu_social_sciences",
    "mmlu_stem",
    "piqa",
    "sciq",
    "openbookqa",
    "commonsense_qa",
]
ERRORS = ("ece", "sce", "sce_ovr")
#: Those of a study that names none.
DEFAULT_METHODS = ("continuation_sum", "continuation_min", "choice")


def make_study(pairs=3, tasks=4, methods=DEFAULT_METHODS, seed=0):
    """Frames by file name; base and aligned errors drawn from Beta distributions."""
    random = np.random.default_rng(seed)
    pair_names, task_names = pair_slugs(pairs), TASKS[:tasks]
    cells = pd.DataFrame(
        itertools.product(pair_names, task_names, methods, ("accuracy", *ERRORS)),
        columns=["pair", "task", "method", "metric"],
    )
    size = len(cells)
    base, aligned = random.beta(2, 12, size), random.beta(3, 12, size)
    half = 0.02 + 0.03 * random.random(size)
    changes = cells.assign(base=base, aligned=aligned, change=aligned - base)
    changes["change_rate"] = changes["change"] / base
    changes["change_ci_low"], changes["change_ci_high"] = (
        changes["change"] - half,
        changes["change"] + half,
    )
    changes["rate_ci_low"] = changes["change_ci_low"] / base
    changes["rate_ci_high"] = changes["change_ci_high"] / base
    changes["p_value"] = changes["q_value"] = random.random(size)
    changes["q_all"] = changes["p_exchangeable"] = changes["q_value"]
    changes["ci_covers"] = True
    changes["mde"] = 0.05
    # Less a bias that errors have near 0; some intervals leave the rate out, or have no upper end.
    for stage in ("base", "aligned"):
        changes[f"{stage}_debiased"] = changes[stage] - 0.01
    changes.loc[::7, "rate_ci_high"] = np.nan
    changes.loc[::11, "rate_ci_low"] = changes["change_rate"] + 0.01
    changes["n"] = pd.array([1000] * size, dtype="Int64")
    changes["truncated"] = pd.array([0] * size, dtype="Int64")
    changes["rank"] = rank_pairs(changes)
    changes = changes.sort_values(["pair", "task", "method", "metric"], ignore_index=True)
    return {
        "changes": changes[CHANGES.names],
        "alignment_effects": _effects(changes),
        "pair_effects": _pair_effects(changes),
        "map_parts": _map_parts(changes),
        "map_effects": _map_effects(changes),
        "decomposition": _decomposition(changes),
        "letter_parts": _letter_parts(changes),
        "option_order": _option_order(pair_names, task_names, random),
        "rank_probabilities": _rank_probabilities(changes, random),
        "remedies": _remedies(changes, random),
        "multiverse": _multiverse(pairs * tasks, random),
        "sce_audit": _sce_audit(pair_names, task_names, methods, random),
        "audit": _published_sce(pair_names, task_names, methods, random),
        "metrics": _metrics(changes),
        **_ladders(changes),
        "as_published": changes[CHANGES.names],
        "rank_agreement": make_agreement(changes),
        "rank_correlations": rank_correlations(changes),
    }


def pair_slugs(pairs):
    """The first of PAIRS; then those of further tunings of the same bases."""
    further = (f"{PAIRS[i % len(PAIRS)]}-tuned-{i // len(PAIRS)}" for i in range(pairs))
    return [*PAIRS[:pairs], *itertools.islice(further, len(PAIRS), None)]


def _metrics(changes):
    models = {"base": changes["pair"].str.replace(r"-tuned-\d+", "", regex=True)}
    frames = [
        changes.assign(
            stage=stage,
            model=models.get(stage, changes["pair"]) + f"-{stage}",
            value=changes[stage],
            debiased=changes[stage] - 0.01,
            ci_low=changes[stage] - 0.01,
            ci_high=changes[stage] + 0.01,
        )
        for stage in ("base", "aligned")
    ]
    return pd.concat(frames, ignore_index=True)[ALL_METRICS.names]


def _ladders(changes):
    """A ladder of two steps for each pair, each step half of the change."""
    halves = changes.assign(change=changes["change"] / 2, rank=pd.NA)
    steps = [
        halves.assign(pair=[f"{pair}~{one}~{other}" for pair in halves["pair"]])
        for one, other in (("base", "sft"), ("sft", "dpo"))
    ]
    trends = changes.rename(
        columns={"pair": "ladder", "change_ci_low": "ci_low", "change_ci_high": "ci_high"}
    ).assign(stages=3, trend=changes["change"] / 2, debiased=changes["change"] / 2 - 0.01)
    means = changes.groupby(["pair", "method", "metric"])[["base", "aligned"]].mean().reset_index()
    stages = [
        means.assign(ladder=means["pair"], number=number, model=model, tasks=2, value=value).assign(
            debiased=value - 0.01, ci_low=value - 0.02, ci_high=value + 0.02
        )
        for number, (model, value) in enumerate(
            {
                "base": means["base"],
                "sft": (means["base"] + means["aligned"]) / 2,
                "dpo": means["aligned"],
            }.items()
        )
    ]
    return {
        "steps": pd.concat(steps, ignore_index=True)[CHANGES.names],
        "stages": pd.concat(stages, ignore_index=True)[LADDER_STAGES.names],
        "trends": trends[TRENDS.names],
    }


def _map_parts(changes):
    rows = changes[changes["metric"].isin(["ece", "sce"])].drop(columns="change")
    shares = {"whole": 1, "map": -0.5, "confidences": 1.2, "unshared": 0.3}
    frames = [
        rows.assign(
            part=part,
            change=share * (rows["aligned"] - rows["base"]),
            debiased=share * (rows["aligned"] - rows["base"]),
            ci_low=-0.2,
            ci_high=0.2,
            unshared_share=0.1,
        )
        for part, share in shares.items()
    ]
    return pd.concat(frames, ignore_index=True)[MAP_PARTS.names]


def _decomposition(changes):
    shares = {
        "agreement": {"agree": 0.7, "disagree": 0.3},
        "correctness": {
            "both_right": 0.6,
            "only_base_right": 0.5,
            "only_aligned_right": -0.3,
            "both_wrong": 0.2,
        },
    }
    frames = [
        changes.assign(
            split=split,
            part=part,
            change=share * changes["change"],
            debiased=share * changes["change"] - 0.005,
            ci_low=share * changes["change"] - 0.02,
            ci_high=share * changes["change"] + 0.02,
            questions=100,
        )
        for split, parts in shares.items()
        for part, share in parts.items()
    ]
    return pd.concat(frames, ignore_index=True)[DECOMPOSITION.names]


def _letter_parts(changes):
    rows = changes[changes["method"] == "choice"].drop(columns="change")
    frames = [
        rows.assign(part=part, change=change, debiased=change, ci_low=-0.2, ci_high=0.2)
        for part, change in {"whole": 0.1, "answer": -0.05, "format": 0.15}.items()
    ]
    return pd.concat(frames, ignore_index=True)[LETTER_PARTS.names]


def _option_order(pairs, tasks, random):
    rows = []
    for pair, task in itertools.product(pairs, tasks):
        priors = random.dirichlet([8, 6, 5, 4], 2)
        for letter, base, aligned in zip("ABCD", *priors, strict=True):
            values = (base, aligned, aligned - base)
            ends = [number for value in values for number in (value, value - 0.02, value + 0.02)]
            rows.append((pair, task, letter, *ends, 1000))
    return pd.DataFrame(rows, columns=OPTION_ORDER.names)


def _pair_effects(changes):
    frame = changes.groupby(["pair", "method", "metric"])["change"].mean().rename("mean_change")
    frame = frame.reset_index().assign(tasks=changes["task"].nunique(), tasks_worse=1)
    frame = frame.assign(
        mean_debiased=frame["mean_change"],
        ci_low=frame["mean_change"] - 0.02,
        ci_high=frame["mean_change"] + 0.02,
        share_worse=1 / changes["task"].nunique(),
    )
    return frame[PAIR_EFFECTS.names]


def _map_effects(changes):
    parts = _map_parts(changes)
    frame = parts.groupby(["method", "metric", "part"])["change"].mean().rename("mean_change")
    frame = frame.reset_index().assign(
        pairs=changes["pair"].nunique(), tasks=changes["task"].nunique()
    )
    frame = frame.assign(
        mean_debiased=frame["mean_change"],
        ci_low=frame["mean_change"] - 0.02,
        ci_high=frame["mean_change"] + 0.02,
    )
    return frame[MAP_EFFECTS.names]


def _effects(changes):
    families = changes.groupby(["method", "metric"])
    frame = families["change"].mean().rename("mean_change").reset_index()
    frame["pairs"], frame["tasks"] = changes["pair"].nunique(), changes["task"].nunique()
    frame["mean_debiased"] = frame["mean_change"] - 0.005
    frame["ci_low"], frame["ci_high"] = frame["mean_change"] - 0.02, frame["mean_change"] + 0.02
    return frame.assign(
        ci_covers=True, p_value=0.04, pairs_worse=1, tasks_worse=2, sign_p_value=0.5
    )[EFFECTS.names]


def _rank_probabilities(changes, random):
    """Ranks under noise, counted over 50 draws."""
    keys = ["task", "method", "metric"]
    drawn = pd.concat(
        changes.assign(
            change_rate=changes["change_rate"] + 0.3 * random.normal(size=len(changes))
        ).assign(rank=rank_pairs)
        for _ in range(50)
    )
    counts = drawn.groupby([*keys, "pair", "rank"]).size() / 50
    return counts.rename("probability").reset_index()[RANK_PROBABILITIES.names]


def _remedies(changes, random):
    rows = pd.concat([changes[changes["metric"] == metric] for metric in ("ece", "sce")])
    shrink = np.tile(0.1 + 0.4 * random.random((len(REMEDIES), len(rows) // 2)), 2)
    frames = []
    for number, (remedy, entry) in enumerate(REMEDIES.items()):
        frame = rows[["pair", "task", "method", "metric", "n"]].assign(
            remedy=remedy,
            base_before=rows["base"],
            base_after=rows["base"] * shrink[number],
            aligned_before=rows["aligned"],
            aligned_after=rows["aligned"] * shrink[number - 1],
        )
        for stage in ("base", "aligned"):
            frame[f"{stage}_temperature"] = 1.5
            frame[f"{stage}_temperature_ci_low"] = 1.2
            frame[f"{stage}_temperature_ci_high"] = 1.9
        frame["change_before"] = frame["aligned_before"] - frame["base_before"]
        frame["change_after"] = frame["aligned_after"] - frame["base_after"]
        frame["aligned_effect"] = frame["aligned_after"] - frame["aligned_before"]
        for name in REMEDIED:
            frame[f"{name}_debiased"] = frame[name] - 0.005
            frame[f"{name}_ci_low"] = frame[name] - 0.02
            frame[f"{name}_ci_high"] = frame[name] + 0.02
        frame["removed"] = 1 - frame["change_after"] / frame["change_before"]
        frame["removed_ci_low"] = frame["removed"] - 0.1
        frame["removed_ci_high"] = frame["removed"] + 0.1
        under = [method for method in METHODS if entry.suits(METHODS[method])]
        frames.append(frame[frame["method"].isin(under)])
    return pd.concat(frames, ignore_index=True)[REMEDY_EFFECTS.names]


def _multiverse(contrasts, random):
    readings = ("letters", "mean_byte", "mean_token", "min", "sum")
    kinds = [universe for _, metrics in universes() for universe in metrics]
    kinds.sort(key=lambda kind: (kind[1] is None, kind))
    rows = [(*kind, reading) for kind in kinds for reading in readings]
    frame = pd.DataFrame(rows, columns=["metric", "bins", "binning", "reading"])
    frame["bins"] = frame["bins"].astype("Int64")
    frame["contrasts"] = pd.array([contrasts] * len(frame), dtype="Int64")
    effect = np.sort(random.normal(0.4, 0.5, len(frame)))
    half = 0.1 + 0.4 * random.random(len(frame))
    frame["worsening"] = np.exp(effect)
    frame["worsening_ci_low"], frame["worsening_ci_high"] = (
        np.exp(effect - half),
        np.exp(effect + half),
    )
    frame[["worse", "better", "undecided"]] = random.dirichlet([2, 1, 1], len(frame))
    return frame[MULTIVERSE.names]


def _sce_audit(pairs, tasks, methods, random):
    models = [f"{pair}-{stage}" for pair in pairs for stage in ("base", "aligned")]
    frame = pd.DataFrame(
        itertools.product(models, tasks, methods), columns=["model", "task", "method"]
    )
    frame["options"] = random.choice([2.0, 4.0, 4.0], len(frame))
    frame["accuracy"] = 0.4 + 0.5 * random.random(len(frame))
    frame["confidence"] = (frame["accuracy"] + 0.3 * random.random(len(frame))).clip(upper=1)
    frame["ece"] = frame["confidence"] - frame["accuracy"]
    frame["sce"] = frame["ece"] / 2
    frame["closed_form"] = (
        frame["options"] - 3 + 2 * frame[["accuracy", "confidence"]].max(axis=1)
    ) / frame["options"]
    frame["sce_ovr"] = frame["closed_form"] + 0.01 * random.normal(size=len(frame))
    for name in ("accuracy", "confidence", "ece", "sce", "sce_ovr", "closed_form"):
        frame[f"{name}_ci_low"], frame[f"{name}_ci_high"] = frame[name] - 0.03, frame[name] + 0.01
    return frame.assign(n=1000)[SCE_AUDIT.names]


def _published_sce(pairs, tasks, methods, random):
    """The SCE recovered from changes and rates, with the range that rounding leaves."""
    audit = _sce_audit(pairs, tasks, methods, random)
    width = 0.02 * random.random(len(audit))
    return pd.DataFrame(
        {
            "task": audit["task"],
            "pair": audit["model"].str.rsplit("-", n=1).str[0],
            "method": audit["method"],
            "stage": audit["model"].str.rsplit("-", n=1).str[1],
            "options": audit["options"],
            "accuracy": audit["accuracy"],
            "confidence": audit["confidence"],
            "ece": audit["ece"],
            "over_confident": True,
            "sce_recovered": audit["sce_ovr"],
            "sce_low": audit["sce_ovr"] - width,
            "sce_high": audit["sce_ovr"] + width,
            "sce_closed_form": audit["closed_form"],
        }
    )
