"""A task built by lm-eval, completed as the config wants it."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.inputs.library import Definition, Library
from alignment_calibration.inputs.stock_tasks import stock_folder
from alignment_calibration.inputs.task_yaml import Hook
from alignment_calibration.inputs.templates import prepare_templates
from alignment_calibration.study.letters import letters_prompt

#: lm-eval's own default, so that the worked examples are those that lm-eval would draw.
FEWSHOT_SEED: Final = 1234

#: Keys of a task that lm-eval reads when it scores, or when it lists tasks. Nothing of them is
#: needed for the questions, and a metric can be a file of code.
NOT_ASKED = {
    "aggregate_metric_list",
    "doc_to_decontamination_query",
    "filter_list",
    "generation_kwargs",
    "group_alias",
    "metric_list",
    "process_results",
    "repeats",
    "should_decontaminate",
    "tag",
    "task_alias",
    "unsafe_code",
}


def build(
    library: Library,
    definition: Definition,
    *,
    scratch: Path,
    num_fewshot: int,
    letters: str,
    data: Mapping[str, str] | None,
) -> Any:
    """The `lm_eval.api.task.ConfigurableTask` of a definition, completed as the config wants it.

    Its attribute `stumble` is the error over its first question, which lm-eval tries while it
    builds a task, or None.

    Args:
        library: Where the definition was found.
        definition: The task.
        scratch: Folder for data sets read from local files; the task reads from it for as long as
            it lives.
        num_fewshot: Worked examples before each question.
        letters: Jinja text of the letters prompt, for tasks with `metadata: letters`.
        data: `format` (json or parquet) and `file` to read in place of the task's data set, and
            `fewshot_file` for the worked examples; `{subset}` in a file's name stands for the
            task's `dataset_name`.

    Raises:
        UserError: if the data set cannot be had, does not fit the task or would give answers away.
    """
    prepare_templates()
    name = definition.name
    config = _completed(library.config(definition), letters=letters, data=data)
    if problem := _unfit(config, num_fewshot):
        raise UserError(f"{name}: {problem}")
    config |= {"task": name, "num_fewshot": num_fewshot}
    kwargs = config.get("dataset_kwargs") or {}
    if "data_files" in kwargs:
        # Cached with the questions' other scratch files: nothing of it outlives the step, and an
        # edited file is never taken for the one read before.
        config["dataset_kwargs"] = kwargs | {"cache_dir": str(scratch / "cache")}
    try:
        task = _task_class()(_with_functions(config))
    # lm-eval, datasets and Jinja raise whatever comes to hand.
    except Exception as error:
        cause = error.__cause__ or error  # datasets says what happened, and only there why
        hint = "" if data else "; without a network, name local files under `data`"
        raise UserError(
            f"{name}: lm-eval cannot load it ({type(cause).__name__}: {one_line(cause)}){hint}"
        ) from None
    if len(task.eval_docs) == 0:
        raise UserError(f"{name}: it has no questions")
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def _task_class() -> Callable[[Mapping[str, Any]], Any]:
    from lm_eval.api.task import ConfigurableTask

    class Task(ConfigurableTask):  # type: ignore[misc]
        """lm-eval's task, which bears an error over its first question until it is asked, and may
        be given other documents to ask than its own."""

        documents: Sequence[Mapping[str, Any]] | None = None

        def __init__(self, config: Mapping[str, Any]) -> None:
            self.stumble: Exception | None = None
            try:
                super().__init__(config=dict(config))
            except Exception as error:
                if not hasattr(self, "features"):  # set when all documents are there
                    raise
                self.stumble = error

        @property
        def eval_docs(self) -> Any:
            return super().eval_docs if self.documents is None else self.documents

    return Task


def _completed(
    config: Mapping[str, Any], *, letters: str, data: Mapping[str, str] | None
) -> dict[str, Any]:
    """A task's YAMLs, merged, with what the config of the study adds or changes."""
    completed = {key: value for key, value in config.items() if key not in NOT_ASKED}
    expressions = (config.get("metadata") or {}).get("letters")
    if expressions:
        completed |= letters_prompt(expressions, letters)
    if data is not None:
        completed |= _local_data(config, data)
    return completed


def _local_data(config: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """The fields of an lm-eval task that make it read local files."""
    subset = str(config.get("dataset_name") or "")

    def place(name: str) -> str:
        path = Path(name.replace("{subset}", subset)).absolute()
        if not path.is_file():
            raise UserError(f"data.file: there is no file {path}")
        return str(path)

    files = {"test": place(data["file"])}
    fields: dict[str, Any] = {
        "dataset_path": data["format"],
        "dataset_name": None,
        "training_split": None,
        "validation_split": None,
        "test_split": "test",
        "fewshot_split": None,
    }
    fewshot = config.get("fewshot_config") or {}
    if "split" in fewshot:
        fields["fewshot_config"] = {k: v for k, v in fewshot.items() if k != "split"}
    if "fewshot_file" in data:
        files["fewshot"] = place(data["fewshot_file"])
        fields["fewshot_split"] = "fewshot"
    return fields | {"dataset_kwargs": {"data_files": files}}


def _unfit(config: Mapping[str, Any], num_fewshot: int) -> str | None:
    """Why a task cannot be asked, or not so."""
    kind = config.get("output_type", "generate_until")  # lm-eval's default
    if kind != "multiple_choice":
        return f"its output_type is {kind}; needs multiple_choice"
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        return "its questions have images or sounds, which are not asked"
    own = config.get("num_fewshot")
    if own is not None and own != num_fewshot:
        return (
            f"its YAML says num_fewshot {own} and the config {num_fewshot}; let the config say "
            f"{own}, or complete the task with a YAML of yours that says {num_fewshot}"
        )
    if num_fewshot and (source := _leak(config)):
        return (
            f"num_fewshot is {num_fewshot}, but its worked examples would come from {source}, and "
            "give answers away; name another fewshot_split, or num_fewshot 0"
        )
    return None


def _leak(config: Mapping[str, Any]) -> str | None:
    """The split or file of the evaluated questions that worked examples would be drawn from, too,
    by the order in which lm-eval looks for them.
    """
    splits = [config.get(f"{name}_split") for name in ("training", "validation", "test")]
    _, validation, test = splits
    evaluated = test if test is not None else validation
    fewshot = config.get("fewshot_config") or {}
    source = fewshot.get("split", config.get("fewshot_split"))
    if source is None:
        if fewshot.get("samples") is not None:
            return None
        source = next((split for split in splits if split is not None), None)
    if source == evaluated:
        return f"the evaluated split {evaluated!r}"
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    if isinstance(files, Mapping):
        shared = _local_files(files.get(source)) & _local_files(files.get(evaluated))
        if shared:
            return f"the file of the questions, {min(shared)}"
    return None


def _local_files(names: Any) -> set[Path]:
    listed = [names] if isinstance(names, str) else names or []
    return {Path(name).resolve() for name in listed if "://" not in name}


def _with_functions(value: Any) -> Any:
    """A YAML value with the functions that its hooks name in their place."""
    if isinstance(value, Hook):
        module, _, name = value.rpartition(".")
        return getattr(_module(value.file) or importlib.import_module(module), name)
    if isinstance(value, dict):
        return {key: _with_functions(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_functions(entry) for entry in value]
    return value


def _module(file: Path) -> ModuleType | None:
    """The module in a file beside a task's YAML, under the name that lm-eval gives it; None where
    there is none.
    """
    if not file.is_file():
        return None
    name = str(file.with_suffix(""))
    if file.is_relative_to(stock_folder()):
        name = ".".join(("lm_eval.tasks", *file.relative_to(stock_folder()).with_suffix("").parts))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
