"""The kinds of source that a model may come from, by the key of its spec that names it.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alignment_calibration.errors import UserError
from alignment_calibration.inputs.checkpoints import checkpoint_files
from alignment_calibration.inputs.sample_files import has_tokens, sample_files
from alignment_calibration.inputs.sizes import Size, hub_size, local_size
from alignment_calibration.study.vocabulary import (
    CHOICE,
    CONTINUATION,
    METHODS,
    PROMPTS,
    UNCONDITIONAL,
    can_be_read,
)

#: Models that a sentence names.
_MOST_NAMES = 6

#: A model's entry in the config.
Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """A kind of source. All its functions take a model's spec and names of lm-eval tasks.

    Attributes:
        scored: whether the study scores its models; otherwise somebody has done so already.
        prompts: that its models can have been asked.
        files: the local files that decide a model's numbers on these tasks, sorted. A missing
            checkpoint has none: the step that looks for it says so best.
        has_tokens: whether the log-probability of each token of an option is known, and not only
            their sum.
        size: for the plan.
    """

    scored: bool
    prompts: Collection[str]
    files: Callable[[Spec, Sequence[str]], list[Path]]
    has_tokens: Callable[[Spec, Sequence[str]], bool]
    size: Callable[[Spec, Sequence[str]], Size]


def _local_files(spec: Spec, names: Sequence[str]) -> list[Path]:
    folder = Path(spec["path"])
    if "gguf_file" in spec:
        file = folder / spec["gguf_file"]
        return [file] if file.is_file() else []
    return checkpoint_files(folder, spec)


def _sample_files(spec: Spec, names: Sequence[str]) -> list[Path]:
    return sorted(sample_files(spec["samples"], names).values())


def _samples_size(spec: Spec, names: Sequence[str]) -> Size:
    files = _sample_files(spec, names)
    return Size(0, sum(file.stat().st_size for file in files), 0, "scored already, by lm-eval")


#: Every kind of source, by its key in a model's spec.
SOURCES: Final = {
    "path": Source(
        scored=True,
        prompts=PROMPTS,
        files=_local_files,
        has_tokens=lambda spec, names: True,
        size=lambda spec, names: local_size(spec["path"]),
    ),
    "hub": Source(
        scored=True,
        prompts=PROMPTS,
        files=lambda spec, names: [],
        has_tokens=lambda spec, names: True,
        size=lambda spec, names: hub_size(spec["hub"], spec["revision"]),
    ),
    "samples": Source(
        scored=False,
        prompts=(CONTINUATION, UNCONDITIONAL, CHOICE),
        files=_sample_files,
        has_tokens=lambda spec, names: all(map(has_tokens, _sample_files(spec, names))),
        size=_samples_size,
    ),
}


def source_key(spec: Spec) -> str:
    """The key of a model's spec that names its source."""
    return next(key for key in SOURCES if key in spec)


def source_of(spec: Spec) -> Source:
    """The kind of source that a model comes from."""
    return SOURCES[source_key(spec)]


def sums_only(
    model: str, spec: Spec, asked: Mapping[tuple[str, str], Sequence[str]], methods: Iterable[str]
) -> list[tuple[str, str]]:
    """The cells of a model of whose options only the sums over tokens are known.

    Args:
        model: its name, for errors.
        spec: of it.
        asked: lm-eval tasks of each task and prompt.
        methods: of the study, for errors.

    Raises:
        UserError: if the model's files are missing, or it cannot have been asked a prompt.
    """
    where, source = f"models.{model}.{source_key(spec)}", source_of(spec)
    cells = []
    for (task, prompt), names in asked.items():
        if prompt not in source.prompts:
            reading = [method for method in methods if prompt in METHODS[method].prompts]
            raise UserError(
                f"{where}: lm-eval puts no questions as {prompt}; leave out the methods that "
                f"read them ({', '.join(reading)}), or score the model"
            )
        try:
            if not source.has_tokens(spec, names):
                cells.append((task, prompt))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
    return cells


def unreadable(
    sums: Mapping[str, Collection[tuple[str, str]]],
    asked: Collection[tuple[str, str]],
    methods: Collection[str],
) -> dict[str, dict[str, set[str]]]:
    """The methods under which models cannot be read, since only sums of tokens are known of them.

    Args:
        sums: `sums_only` of each model.
        asked: task and prompt of all cells of a model.
        methods: of the study.

    Returns:
        Method → model → tasks, of those that have any.

    Raises:
        UserError: if a task of a model cannot be read at all.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for model, cells in sums.items():
        readable: set[str] = set()
        for (task, prompt), method in itertools.product(asked, methods):
            if prompt not in METHODS[method].prompts:
                continue
            if can_be_read(method, (task, prompt) not in cells):
                readable.add(task)
            else:
                found.setdefault(method, {}).setdefault(model, set()).add(task)
        if barred := sorted({task for task, _ in asked} - readable):
            raise UserError(
                f"models.{model}: of {', '.join(barred)} only sums over an "
                f"option's tokens are known, which no method reads: {', '.join(methods)}"
            )
    return found


def absence_notes(
    absent: Mapping[str, Mapping[str, set[str]]], asked: Iterable[tuple[str, str]]
) -> list[str]:
    """What `unreadable` found, a sentence for each method, for those who read tables and figures.

    Args:
        absent: as `unreadable` gives it.
        asked: task and prompt of all cells of a model.
    """
    tasks_of = {
        method: {task for task, prompt in asked if prompt in METHODS[method].prompts}
        for method in absent
    }
    return [
        f"{method} is missing for {_listed(models, tasks_of[method])}: of their options only the "
        "sums over tokens are known, as from lm-eval's samples."
        for method, models in absent.items()
    ]


def _listed(tasks_of: Mapping[str, set[str]], all_tasks: set[str]) -> str:
    """Models, with the tasks meant where these are not all; the first few of many."""
    names = [
        model if tasks == all_tasks else f"{model} ({', '.join(sorted(tasks))})"
        for model, tasks in tasks_of.items()
    ]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more models" if more > 0 else "")
