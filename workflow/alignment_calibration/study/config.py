"""The config of a study: its files merged, checked against the schema, defaults filled in.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import argparse
import copy
import graphlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from alignment_calibration.errors import UserError, run_cli, shorten
from alignment_calibration.study.explain import followed, suggest, violation
from alignment_calibration.study.ladders import (
    same_checkpoint,
    shown_pair,
    steps_of,
    unfit_ladders,
    wholes_of,
    with_steps,
)
from alignment_calibration.study.letters import TEMPLATES
from alignment_calibration.study.settings import USUAL
from alignment_calibration.study.strict_yaml import plain, read_yaml
from alignment_calibration.study.vocabulary import (
    METHODS,
    PROMPTS,
    STAGES,
    has_metric,
    prompts_of,
)

Config = dict[str, Any]


def load(files: Sequence[str | Path], overrides: Mapping[str, Any], schema: str | Path) -> Config:
    """The config that `files` (later ones win) and `overrides` (`--config`) make together.

    Raises:
        UserError: for unreadable YAML, a key twice, a config that `check` refuses, or one that
            says other things of what was scored than the exported study that it takes.
    """
    merged: Config = {}
    for file in files:
        merged = _merge(merged, read_yaml(file))
    sources = [str(file) for file in files]
    if overrides:
        merged = _merge(merged, plain(overrides, "--config"))
        sources.append("--config")
    source = " with ".join(sources)
    study = check(merged, read_yaml(schema), source)
    if study["scored"]:
        exported = Path(study["scored"], "config.yaml")
        try:
            as_scored = load([exported], {}, schema)
        except UserError as error:
            raise UserError(f"{source}: scored: {error}") from None
        for problem in _not_as_scored(study, as_scored):
            raise UserError(f"{source}: {problem} {exported} (key 'scored')")
    return study


def check(config: Config, schema: Mapping[str, Any], source: str) -> Config:
    """A copy of `config` with the schema's defaults, found to be complete and consistent.

    The ladders from end to end are among its pairs, and `ladders` has those of several steps.

    Raises:
        UserError: one line with the key's path, what was found and what is allowed.
    """
    config = copy.deepcopy(config)
    if problem := violation(config, schema):
        raise UserError(f"{source}: {problem}")
    _fill_defaults(config, schema, schema)
    for task in config["tasks"].values():
        asked = {prompt: task.get(key) for prompt, key in PROMPTS.items()}
        for prompt, names in asked.items():
            task[prompt] = [names] if isinstance(names, str) else names
    for problem in unfit_ladders(config, suggest):
        raise UserError(f"{source}: {problem}")
    config["pairs"] |= wholes_of(config["ladders"])
    config["ladders"] = with_steps(config["ladders"])
    config["statistics"]["primary"] = _primary(config)
    for problem in _inconsistencies(config):
        raise UserError(f"{source}: {problem}")
    for oddity in _oddities(config):
        print(f"warning: {source}: {oddity}", file=sys.stderr)
    return config


def _primary(config: Config) -> dict[str, str]:
    """The primary metric and method: those that are said, else the usual ones or the first, of
    those that go together.
    """
    said = config["statistics"]["primary"]
    named = {
        key: [said[key]] if key in said else sorted(measured, key=lambda name: name != usual)
        for key, measured, usual in (
            ("method", config["methods"], USUAL.method),
            ("metric", config["metrics"], USUAL.metric),
        )
    }
    both = list(itertools.product(named["method"], named["metric"]))
    # Where none do, or a method is said that is none, `_inconsistencies` finds it.
    fitting = (each for each in both if each[0] in METHODS and has_metric(*each))
    method, metric = next(fitting, both[0])
    return {"metric": metric, "method": method}


def _inconsistencies(config: Config) -> Iterator[str]:
    """What a schema cannot say: names that must be known, things that must be there."""
    if config["study"].lower() in ("published", "readme.md"):
        yield (
            f"study: found {config['study']!r}, a name that results/ has a use for; choose another"
        )
    for section in ("models", "pairs", "tasks", "letters"):
        yield from _alike(section, config[section])
    for name, pair in config["pairs"].items():
        for stage in STAGES:
            if pair[stage] not in config["models"]:
                yield (
                    f"pairs.{name}.{stage}: found {pair[stage]!r}, which is not under models; "
                    f"{suggest(pair[stage], config['models'])}"
                )
        if pair["base"] == pair["aligned"]:
            yield f"pairs.{name}: base and aligned are the same model, {pair['base']!r}"
    yield from _descent_in_a_circle(config["pairs"] | steps_of(config["ladders"]))
    prompts = prompts_of(config["methods"])
    for prompt in prompts:
        if not any(task[prompt] for task in config["tasks"].values()):
            yield f"methods: read the {prompt} prompt, which no task has"
    scoring = config["scoring"]
    if scoring["parts"] > 1 and not scoring["load_once"]:
        yield (
            f"scoring.parts: found {scoring['parts']}, but with load_once: false each cell is a "
            "job of its own; leave out one of the two keys"
        )
    for name in config["letters"]:
        if name in TEMPLATES:
            yield f"letters.{name}: the name of a built-in template; choose another"
    for metric in config["metrics"]:
        if not any(has_metric(method, metric) for method in config["methods"]):
            yield (
                f"metrics: found {metric!r}, which no method of this study has; methods with it: "
                f"{', '.join(_methods_with(metric))}"
            )
    primary = config["statistics"]["primary"]
    for key, name in primary.items():
        if name not in config[f"{key}s"]:
            yield (
                f"statistics.primary.{key}: found {name!r}, which is not among {key}s; "
                f"allowed: {', '.join(config[f'{key}s'])}"
            )
    if not has_metric(primary["method"], primary["metric"]):
        yield (
            f"statistics.primary.metric: found {primary['metric']!r}, which "
            f"{primary['method']!r} (statistics.primary.method) does not have; methods with it: "
            f"{', '.join(_methods_with(primary['metric']))}"
        )
    templates = [*TEMPLATES, *config["letters"]]
    for name, task in config["tasks"].items():
        if not any(task[prompt] for prompt in prompts):
            keys = dict.fromkeys(PROMPTS[prompt] for prompt in prompts)
            yield (
                f"tasks.{name}: has no {' or '.join(keys)} prompt, "
                f"which the methods {', '.join(config['methods'])} read"
            )
        if task["num_fewshot"] and task["data"] and "fewshot_file" not in task["data"]:
            yield (
                f"tasks.{name}.data: key 'fewshot_file' is missing, which num_fewshot "
                f"{task['num_fewshot']} needs: the questions' own file would give answers away"
            )
        if task["letters"] not in templates:
            yield (
                f"tasks.{name}.letters: found {task['letters']!r}; allowed: {', '.join(templates)}"
            )


def _oddities(config: Config) -> Iterator[str]:
    """What may be meant, and probably is not."""
    seen: dict[tuple[str, str], str] = {}
    for name, pair in config["pairs"].items():
        first = seen.setdefault((pair["base"], pair["aligned"]), name)
        if first != name:
            yield f"pairs: {first!r} and {name!r} are the same two models"
    for name, pair in (config["pairs"] | steps_of(config["ladders"])).items():
        specs = [config["models"][pair[stage]] for stage in STAGES]
        formats = [dtype_of(config, pair[stage]) for stage in STAGES]
        known = not any("samples" in spec for spec in specs)
        # Of one checkpoint, the format may be what the pair is for.
        if known and len(set(formats)) > 1 and not same_checkpoint(*specs):
            yield (
                f"pairs: in {shown_pair(name)!r} {pair['base']!r} runs in {formats[0]} and "
                f"{pair['aligned']!r} in {formats[1]} (keys dtype), so changes are of that too"
            )


def dtype_of(config: Mapping[str, Any], model: str) -> str:
    """The number format a model is run in: its own, or the study's."""
    dtype: str = config["models"][model].get("dtype", config["scoring"]["dtype"])
    return dtype


def _methods_with(metric: str) -> list[str]:
    return [method for method in METHODS if has_metric(method, metric)]


def _not_as_scored(study: Config, exported: Config) -> Iterator[str]:
    """What decides questions and log-probabilities, and is not as in an exported study."""
    for section in ("models", "tasks"):
        for name, spec in study[section].items():
            if name not in exported[section]:
                yield f"{section}.{name}: not in"
            elif spec != exported[section][name]:
                yield f"{section}.{name}: not as in"
    for name in {task["letters"] for task in study["tasks"].values()}:
        if study["letters"].get(name) != exported["letters"].get(name):
            yield f"letters.{name}: not as in"
    if study["task_folders"] != exported["task_folders"]:
        yield "task_folders: not as in"
    for key in ("dtype", "backend"):
        if study["scoring"][key] != exported["scoring"][key]:
            yield f"scoring.{key}: not as in"
    for prompt in prompts_of(study["methods"]):
        if prompt not in prompts_of(exported["methods"]):
            yield f"methods: read the {prompt} prompt, which was not scored in"


def _alike(section: str, slugs: Iterable[str]) -> Iterator[str]:
    """Slugs that name the same file where the case of letters does not count, as on macOS."""
    seen: dict[str, str] = {}
    for slug in slugs:
        other = seen.setdefault(slug.lower(), slug)
        if other != slug:
            yield f"{section}: {other!r} and {slug!r} differ only in the case of letters"


def _descent_in_a_circle(pairs: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Models that descend from themselves."""
    try:
        descent = graphlib.TopologicalSorter[str]()
        for pair in pairs.values():
            if pair["base"] != pair["aligned"]:
                descent.add(pair["aligned"], pair["base"])
        descent.prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        yield f"pairs: a model descends from itself: {shorten(' → '.join(circle), 200)}"


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Config:
    """`below` with the keys of `above` in their place, mappings merged key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _fill_defaults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    """Put the schema's defaults where `value` (already valid) has no entry."""
    schema = followed(schema, root)
    if not isinstance(value, dict):
        return
    if "if" in schema:  # a choice by the keys that are there
        branch = "then" if set(schema["if"]["required"]) <= value.keys() else "else"
        _fill_defaults(value, schema[branch], root)
    properties = schema.get("properties", {})
    for key, part in properties.items():
        if key not in value and "default" in part:
            value[key] = json.loads(json.dumps(part["default"]))
    for key, entry in value.items():
        part = properties.get(key, schema.get("additionalProperties"))
        if isinstance(part, Mapping):
            _fill_defaults(entry, part, root)


def main() -> None:
    """Check config files and say where they are wrong.

    Under a profile without `logger: alignment-calibration` Snakemake reads the files of
    --configfile before anything of the workflow can, and names no line of a YAML error.
    """
    parser = argparse.ArgumentParser(
        prog="alignment_calibration.study.config", description=main.__doc__
    )
    parser.add_argument("file", nargs="+", help="merged like those of --configfile: later ones win")
    parser.add_argument("--schema", default="workflow/schemas/config.schema.yaml")
    arguments = parser.parse_args()
    study = load(arguments.file, {}, arguments.schema)
    counts = ", ".join(
        f"{len(study[section])} {section}" for section in ("models", "pairs", "tasks")
    )
    print(f"study {study['study']}: {counts}")


if __name__ == "__main__":
    run_cli(main)
