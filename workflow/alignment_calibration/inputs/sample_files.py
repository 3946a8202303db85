"""The files that `lm_eval --log_samples` wrote, found by the lm-eval tasks they answer.

Imported while Snakemake parses the workflow, so nothing heavy may be imported here.
"""

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.atomic import read_json

#: As lm-eval names them since 0.4.3. Before, the name began with the model's arguments and ended
#: with the task; there was no date, and a file was one JSON array.
_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(\.\d+)?)\.jsonl?")
_SUFFIXES = (".json", ".jsonl")
#: Bytes; a longer line is read so far.
_LONG_LINE = 10**6


def sample_files(source: str, names: Sequence[str]) -> dict[str, Path]:
    """The newest sample file of each lm-eval task.

    Args:
        source: what lm-eval wrote of one model: a folder (its `--output_path`, or the model's
            folder in that), or a pattern of files (`*`, `?`, `[…]`, `**`).
        names: lm-eval tasks; or groups, whose tasks the results file beside the samples names.

    Returns:
        A file for each task, sorted by task.

    Raises:
        UserError: if a task has no file, or it cannot be said which one is meant.
    """
    found = _candidates(source)
    named = {match["task"] for path in found if (match := _NAME.fullmatch(path.name))}
    # Results files are large, and looked into only for what no sample file is named by.
    members = {} if named.issuperset(names) else _group_members(found)
    tasks = sorted({task for name in names for task in _expand(name, members)})
    dated: dict[str, list[tuple[str, Path]]] = {task: [] for task in tasks}
    known = {*tasks, *members, *(task for group in members.values() for task in group)}
    for path in found:
        task, date = _task_and_date(path, known)
        if task in dated:
            dated[task].append((date, path))
    if missing := [task for task in tasks if not dated[task]]:
        there = sorted({task for path in found if (task := _task_and_date(path, known)[0])})
        raise UserError(
            f"{source}: found no sample file of {', '.join(map(repr, missing[:3]))}; "
            f"there are files of {', '.join(there[:6]) or 'no task'}{', …' if there[6:] else ''}"
        )
    _check_one_model(source, (path for files in dated.values() for _, path in files))
    return {task: _newest(task, files) for task, files in dated.items()}


def has_tokens(path: str | Path) -> bool:
    """Whether a sample file holds the tokens of options, as `shared_prefix` writes them.

    Its first line tells: `lm_eval_samples` refuses a file that has them in some lines only.
    """
    try:
        with open(path, "rb") as lines:
            # Before 0.4.3, which wrote no tokens, a file may be one line.
            return b'"token_logprobs"' in lines.readline(_LONG_LINE)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from None


def _candidates(source: str) -> list[Path]:
    """Files that may be sample files. lm-eval puts those of each model into a folder of its own."""
    if glob.has_magic(source) and not Path(source).exists():
        return _only_samples(map(Path, glob.glob(source, recursive=True)))
    folder = Path(source)
    if not folder.is_dir():
        raise UserError(f"{source}: no such folder, nor a pattern of files")
    return _only_samples(folder.iterdir()) or _only_samples(folder.glob("*/*"))


def _only_samples(paths: Iterable[Path]) -> list[Path]:
    return sorted(
        path
        for path in paths
        if path.suffix in _SUFFIXES and not path.name.startswith("results") and path.is_file()
    )


def _group_members(files: Sequence[Path]) -> dict[str, list[str]]:
    """The tasks of each group, as the results files beside the samples have it; the newest wins."""
    results = sorted(
        path for folder in {path.parent for path in files} for path in folder.glob("results*.json")
    )
    members: dict[str, list[str]] = {}
    for path in results:
        content = read_json(path)
        groups = content.get("group_subtasks") if isinstance(content, dict) else None
        members |= {name: tasks for name, tasks in (groups or {}).items() if tasks}
    return members


def _expand(name: str, members: dict[str, list[str]]) -> list[str]:
    """The tasks that a name stands for, nested groups taken apart."""
    if name not in members:
        return [name]
    inner = {group: tasks for group, tasks in members.items() if group != name}
    return [task for member in members[name] for task in _expand(member, inner)]


def _task_and_date(path: Path, known: Iterable[str]) -> tuple[str, str]:
    """The task of a sample file, empty if the name tells none, and its date, empty likewise."""
    if match := _NAME.fullmatch(path.name):
        return match["task"], match["date"]
    ends = [task for task in known if f"_{path.stem}".endswith(f"_{task}")]
    return max(ends, key=len, default=""), ""


def _newest(task: str, files: Sequence[tuple[str, Path]]) -> Path:
    """The file of the last date; of several with that date any, as long as they say the same."""
    last = max(date for date, _ in files)
    first, *others = [path for date, path in files if date == last]
    for other in others:
        if other.read_bytes() != first.read_bytes():
            raise UserError(
                f"{first}: differs from {other}, and both hold samples of {task!r} "
                f"{f'of {last}' if last else 'without a date in their names'}; name one of them"
            )
    return first


def _check_one_model(source: str, files: Iterable[Path]) -> None:
    """Refuse the files of several models, whose folders have other names: the newest of them all
    would be any model's.
    """
    folders = {path.parent.name: path.parent for path in files}
    if len(folders) > 1:
        some = ", ".join(map(str, sorted(folders.values())[:3]))
        raise UserError(
            f"{source}: found sample files of {len(folders)} models: {some}; name the folder of one"
        )
