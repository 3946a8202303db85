"""A task built by lm-eval, completed as the config wants it."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml

from alignment_calibration.errors import UserError, one_line
from alignment_calibration.files.atomic import write_text
from alignment_calibration.inputs.library import Definition, Library
from alignment_calibration.study.letters import letters_prompt

#: lm-eval's own default, so that the worked examples are those that lm-eval would draw.
FEWSHOT_SEED: Final = 1234


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

    Args:
        library: Where the definition was found.
        definition: The task.
        scratch: Folder for the generated YAML and for data sets read from local files; the task
            reads from it for as long as it lives.
        num_fewshot: Worked examples before each question.
        letters: Jinja text of the letters prompt, for tasks with `metadata: letters`.
        data: `format` (json or parquet) and `file` to read in place of the task's data set, and
            `fewshot_file` for the worked examples; `{subset}` in a file's name stands for the
            task's `dataset_name`.

    Raises:
        UserError: if the data set cannot be had, or does not fit the task.
    """
    from lm_eval.tasks import TaskManager

    _prepare_templates()
    name = definition.name
    folder = scratch / name
    fields = _completed_fields(
        library, definition, folder / "cache", num_fewshot=num_fewshot, letters=letters, data=data
    )
    include = [str(path) for path in definition.files]
    text = yaml.safe_dump({"include": include, **fields}, allow_unicode=True)
    write_text(folder / f"{name}.yaml", text)
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    try:
        task = manager.load([name])["tasks"][name]
    except IndexError:
        raise UserError(
            f"{name}: it has no questions, or its first question has an option that is an empty "
            "string or a gold answer out of range"
        ) from None
    # lm-eval, datasets and Jinja raise whatever comes to hand.
    except Exception as error:
        hint = "" if data else "; without a network, name local files under `data`"
        raise UserError(
            f"{name}: lm-eval cannot load it ({type(error).__name__}: {one_line(error)}){hint}"
        ) from None
    task.set_fewshot_seed(seed=FEWSHOT_SEED)
    return task


def _prepare_templates() -> None:
    """Make lm-eval fill its templates in Jinja's sandbox: as it comes, a template in a config or a
    task YAML could run any code. And keep them compiled: lm-eval compiles a task's texts anew for
    every document, which takes most of the time of this step.
    """
    import lm_eval.utils
    from jinja2.sandbox import SandboxedEnvironment

    env = lm_eval.utils.env
    if isinstance(env, SandboxedEnvironment):
        return
    sandbox = SandboxedEnvironment(
        loader=env.loader, undefined=env.undefined, keep_trailing_newline=True
    )
    sandbox.filters = env.filters
    sandbox.from_string = lru_cache(maxsize=100)(sandbox.from_string)  # type: ignore
    lm_eval.utils.env = sandbox


def _completed_fields(
    library: Library,
    definition: Definition,
    cache_folder: Path,
    *,
    num_fewshot: int,
    letters: str,
    data: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The fields that the config adds to a task's YAMLs, or changes."""
    config = library.config(definition)
    fields: dict[str, Any] = dict(definition.overrides)
    fields |= {"task": definition.name, "num_fewshot": num_fewshot}
    expressions = (config.get("metadata") or {}).get("letters")
    if expressions:
        fields |= letters_prompt(expressions, letters)
    if data is not None:
        fields |= _local_data(config, data, num_fewshot)
    elif "dataset_kwargs" in config:
        fields["dataset_kwargs"] = config["dataset_kwargs"]
    kwargs = fields.get("dataset_kwargs") or {}
    if "data_files" in kwargs:
        # Cached with the questions' other scratch files: nothing of it outlives the step, and an
        # edited file is never taken for the one read before.
        fields["dataset_kwargs"] = kwargs | {"cache_dir": str(cache_folder)}
    return fields


def _local_data(
    config: Mapping[str, Any], data: Mapping[str, str], num_fewshot: int
) -> dict[str, Any]:
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
    if num_fewshot:
        files["fewshot"] = place(data["fewshot_file"])
        fields["fewshot_split"] = "fewshot"
    return fields | {"dataset_kwargs": {"data_files": files}}
