"""What Python itself imports, to check what is said of the package's imports.

Run in processes of their own, so nothing of the package may be imported here.
"""

import ast
import multiprocessing
import subprocess
import sys
from collections.abc import Iterable, Sequence
from modulefinder import ModuleFinder
from pathlib import Path

from tests.support.study import ROOT, environment

PACKAGE = ROOT / "workflow" / "alignment_calibration"


def names_in(tree: ast.AST) -> set[str]:
    """The full names of the modules that a tree may import, wherever the statement stands. A name
    that is imported from a module counts as one, since it may be a module.
    """
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"a relative import, line {node.lineno}"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def reachable(entry: Path) -> set[Path]:
    """The files of the package that a file may import, by the standard library's own search
    through bytecode.
    """
    (workflow,) = (folder for folder in entry.parents if (folder / PACKAGE.name).is_dir())
    finder = ModuleFinder([str(workflow)])
    finder.run_script(str(entry))
    return {Path(file) for module in finder.modules.values() if (file := vars(module)["__file__"])}


def loaded(scripts: Sequence[Path]) -> list[set[Path]]:
    """The files of the package that Python loads for the imports of each script, each in a fresh
    process. What is not of the package is loaded once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["matplotlib.pyplot", "pandas", "pyarrow.parquet", "scipy.stats", "seaborn", "torch"]
    )
    with context.Pool(1, maxtasksperchild=1) as pool:
        return pool.map(_loaded, scripts, chunksize=1)


def _loaded(script: Path) -> set[Path]:
    tree = ast.parse(script.read_bytes())
    imports: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    exec(compile(ast.Module(imports, []), str(script), "exec"), {})
    return {
        Path(module.__file__)
        for name, module in sys.modules.items()
        if name.split(".")[0] == PACKAGE.name and module.__file__
    }


def run_without(modules: Iterable[str], program: str) -> subprocess.CompletedProcess[str]:
    """Run a program where some modules cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", f"{blocking(modules)}\n{program}"],
        env=environment(),
        capture_output=True,
        text=True,
    )


def blocking(modules: Iterable[str]) -> str:
    """Lines of Python after which some modules are not found, as if they were not installed."""
    return _WITHOUT.format(names=sorted(modules))


_WITHOUT = """\
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, *more):
        return None if name.split(".")[0] in {names} else self.finder.find_spec(name, *more)
sys.meta_path[:] = map(Without, sys.meta_path)
"""
