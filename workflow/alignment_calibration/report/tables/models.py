"""Accuracy and calibration of the models."""

import pandas as pd

from alignment_calibration.calibration.metrics.registry import (
    FEW_WRONG_MARK,
    METRICS,
    few_wrong,
    value_interval_note,
)
from alignment_calibration.report.tables.cells import (
    in_order,
    primary_first,
    primary_note,
    value_cell,
)
from alignment_calibration.report.tables.table import MISSING, Section, Table
from alignment_calibration.study.settings import Primary
from alignment_calibration.study.vocabulary import METHODS, STAGES

#: Metrics side by side; further ones stand below.
COLUMNS = 4


def table(metrics: pd.DataFrame, primary: Primary) -> Table:
    """Accuracy and calibration of every model with intervals, a section per method.

    Models stand in the order of the pairs, base before aligned; one of several pairs stands once.
    A column more tells where contexts were cut to fit the model, if any were.

    Args:
        metrics: rows of ALL_METRICS.
        primary: the analysis that stands first.
    """
    names = in_order(metrics["metric"], [primary.metric, "accuracy"])
    accuracy = {
        (row["method"], row["task"], row["model"]): row["value"]
        for row in metrics[metrics["metric"] == "accuracy"].to_dict("records")
    }
    texts = {}
    for row in metrics.to_dict("records"):
        answers = row["method"], row["task"], row["model"]
        text = value_cell(
            row["metric"], row["value"], row["ci_low"], row["ci_high"], row["debiased"]
        )
        marked = answers in accuracy and few_wrong(row["metric"], accuracy[answers], row["n"])
        texts[*answers, row["metric"]] = f"{text} {FEW_WRONG_MARK}" if marked else text
    cut = {
        (row["method"], row["task"], row["model"]): f"{row['truncated']} of {row['n']}"
        for row in metrics[metrics["truncated"].gt(0)].to_dict("records")
    }
    pairs = metrics[["pair", "stage", "model"]].drop_duplicates().to_dict("records")
    pairs.sort(key=lambda row: (row["pair"], STAGES.index(row["stage"])))
    place = {model: i for i, model in enumerate(dict.fromkeys(row["model"] for row in pairs))}
    sections = []
    for method in in_order(metrics["method"], [primary.method, *METHODS]):
        keys = sorted(
            {key[1:3] for key in texts if key[0] == method}, key=lambda key: (key[0], place[key[1]])
        )
        for start in range(0, len(names), COLUMNS):
            block = names[start : start + COLUMNS]
            header = [f"{n} (nats)" if METRICS[n].unit == "nats" else n for n in block]
            last = ("truncated",) if method in {key[0] for key in cut} else ()
            sections.append(
                Section(
                    caption=f"Metrics under {method}, in percent unless in nats.",
                    align=("l", "l", *("r" for _ in (*block, *last))),
                    header=("task", "model", *header, *last),
                    rows=tuple(
                        (
                            *key,
                            *(texts.get((method, *key, n), MISSING) for n in block),
                            *(cut.get((method, *key), MISSING) for _ in last),
                        )
                        for key in keys
                    ),
                )
            )
    notes = primary_note(metrics, primary)
    if metrics["ci_low"].notna().any():
        notes.append(value_interval_note(names))
    if cut:
        notes.append(
            "Truncated: questions whose context was too long for the model and lost its left."
        )
    data = primary_first(metrics, primary)
    return Table("Accuracy and calibration of the models", data, tuple(sections), tuple(notes))
