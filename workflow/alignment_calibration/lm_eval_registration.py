"""Makes `shared_prefix` known to lm-evaluation-harness when, and only when, that is imported.

lm-eval has no entry points for models. So `alignment_calibration.pth`, which Python reads when it
starts, imports this module; it must cost next to nothing.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_MODELS = "lm_eval.models"


class _Finder:
    """Finds `lm_eval.models` as Python does, and registers `shared_prefix` after its execution."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODELS:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                from lm_eval.api.registry import model_registry

                target = "alignment_calibration.lm_eval_model:SharedPrefixLM"
                model_registry.register("shared_prefix", target=target)

            loader.exec_module = execute_and_register
        return spec


sys.meta_path.insert(0, _Finder)
