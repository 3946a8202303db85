"""The card for people, in Markdown: what was asked of which models, how, and by what software."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import jinja2
import pyarrow.compute as pc

from alignment_calibration.contract.scoring import QUESTIONS
from alignment_calibration.files.atomic import read_json
from alignment_calibration.files.parquet import read_parquet
from alignment_calibration.inputs.sources import SOURCES, source_key
from alignment_calibration.study.letters import TEMPLATES
from alignment_calibration.study.vocabulary import METHODS, PROMPTS

#: What computed the statistics. What scored is in the run's summary.
_STATISTICS: Final = ("alignment-calibration", "numpy", "pandas", "pyarrow", "scipy")


def card(
    template: str | Path, study: Mapping[str, Any], folder: Path, configs: Mapping[str, str]
) -> str:
    """Fill the template of the card.

    Args:
        template: Jinja text, in Markdown.
        study: the config, defaults filled in.
        folder: where the study's files lie, laid out as its results.
        configs: patterns of the Parquet files by the name of their table.
    """
    summary = read_json(folder / "run_summary.json")
    records = [read_json(path) for path in sorted(folder.glob("models/*.json"))]
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(Path(template).read_text(encoding="utf-8")).render(
        study=study["study"],
        description=description(study),
        configs=configs,
        models=[_model(record) for record in records],
        scoring=study["scoring"],
        pairs=study["pairs"],
        tasks=[
            _asked(task, prompt, spec, folder)
            for task, spec in study["tasks"].items()
            for prompt in PROMPTS
            if (folder / "questions" / task / f"{prompt}.parquet").is_file()
        ],
        templates=_templates(study),
        methods={name: METHODS[name] for name in study["methods"]},
        metrics=study["metrics"],
        statistics=study["statistics"],
        software={name: version(name) for name in _STATISTICS} | summary["libraries"],
        devices=summary["devices"],
    )


def description(study: Mapping[str, Any]) -> str:
    """What the data set is, in two sentences."""
    return (
        "Log-probabilities that base and aligned language models give the options of "
        "multiple-choice questions, the confidences read from them, and how alignment changed the "
        f"models' calibration: {len(study['pairs'])} pairs of models, {len(study['tasks'])} tasks. "
        "Made by the workflow alignment-calibration."
    )


def _model(record: Mapping[str, Any]) -> dict[str, str]:
    spec = record["spec"]
    # Of a place on this machine, its name only.
    place = spec[source_key(spec)]
    source = place if "hub" in spec else Path(place).name
    others = sorted(spec.keys() - {*SOURCES, "revision"})
    settings = ", ".join(f"{key}: {spec[key]}" for key in others)
    return {
        "model": record["model"],
        "source": source,
        "revision": record["revision"],
        "settings": settings,
    }


def _asked(task: str, prompt: str, spec: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """One prompt of a task."""
    rows = read_parquet(folder / "questions" / task / f"{prompt}.parquet", QUESTIONS)
    return {
        "task": task,
        "prompt": prompt,
        "names": ", ".join(f"`{name}`" for name in spec[prompt]),
        "questions": pc.count_distinct(rows["question_id"]).as_py(),
        "num_fewshot": spec["num_fewshot"],
    }


def _templates(study: Mapping[str, Any]) -> dict[str, str]:
    """The letters templates that tasks name."""
    known = TEMPLATES | study["letters"]
    used = {task["letters"] for task in study["tasks"].values() if task["choice"]}
    return {name: known[name] for name in sorted(used)}
