"""Who imports whom: a room of the package only from rooms above it, and each without what it must
run without."""

import ast
import re
import textwrap
from pathlib import Path

import pytest

from tests.support.imports import PACKAGE, blocking, names_in, run_without
from tests.support.study import ROOT, Study, environment

#: Floor by floor, from the top.
ROOMS = (
    "errors",
    "study",
    "contract",
    "files",
    "inputs",
    "scoring",
    "calibration",
    "pairs",
    "reference",
    "report",
    "api",
)
STATISTICS = ("calibration", "pairs", "reference", "report", "api")

#: What a GPU image lacks, which scoring must do without, but for its adapter to lm-eval.
NOT_ON_A_GPU_IMAGE = {"datasets", "lm_eval", "matplotlib", "pandas", "seaborn", "snakemake"}
ADAPTER = PACKAGE / "scoring" / "lm_eval.py"

#: What takes too long to import, or reads data sets: not while Snakemake parses, which every job
#: does again.
HEAVY = {"datasets", "lm_eval", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "torch",
         "transformers"}  # fmt: skip


def modules(*rooms: str) -> list[Path]:
    """The files of some rooms."""
    found = [*PACKAGE.glob("*.py"), *PACKAGE.rglob("*/**/*.py")]
    return sorted(file for file in found if room_of(file) in rooms)


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(file: Path) -> str:
    """The name by which a file of the package is imported."""
    name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    return name.removesuffix(".__init__")


def imported(file: Path) -> set[str]:
    return names_in(ast.parse(file.read_bytes()))


def test_every_module_has_a_room() -> None:
    assert {room_of(file) for file in PACKAGE.rglob("*.py")} == {*ROOMS, "__init__"}
    # It is run with every module: what it imported of the package, every step would depend on.
    assert not [name for name in imported(PACKAGE / "__init__.py") if PACKAGE.name in name]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_from_rooms_above_it(room: str) -> None:
    above = ROOMS[: ROOMS.index(room) + 1]
    wrong = {
        f"{dotted(file)} imports {name}"
        for file in modules(room)
        for name in imported(file)
        if name.startswith(f"{PACKAGE.name}.") and name.split(".")[1] not in above
    }
    assert not wrong


@pytest.mark.parametrize(
    ("rooms", "refused"),
    [
        (ROOMS, {"snakemake", "tests"}),
        (("scoring",), NOT_ON_A_GPU_IMAGE),
        (STATISTICS, {"accelerate", "datasets", "lm_eval", "torch", "transformers"}),
    ],
)
def test_no_module_of_a_room_names_what_it_must_run_without(
    rooms: tuple[str, ...], refused: set[str]
) -> None:
    wrong = {
        f"{dotted(file)} imports {name}"
        for file in modules(*rooms)
        for name in imported(file)
        if name.split(".")[0] in refused and file != ADAPTER
    }
    assert not wrong


def test_the_statistics_are_imported_where_torch_is_not() -> None:
    names = [dotted(file) for file in modules(*STATISTICS) if file.stem != "__main__"]
    run = run_without({"torch"}, f"import {', '.join(names)}")
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
def test_a_cell_is_scored_on_a_gpu_image(tmp_path: Path) -> None:
    """The workflow scores a cell of the demo where its jobs find neither lm-eval nor pandas."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "sitecustomize.py").write_text(
        "import sys\nif 'alignment_calibration.scoring' in sys.orig_argv:\n"
        f"    open({str(tmp_path / 'seen')!r}, 'w').close()\n"
        + textwrap.indent(blocking(NOT_ON_A_GPU_IMAGE), "    "),
        encoding="utf-8",
    )
    (tmp_path / "study").mkdir()
    study = Study.reduced(
        tmp_path / "study",
        {"words": {"continuation": "demo_words", "limit": 2}},
        ["continuation_sum"],
        targets=["results/reduced/confidences/base/words.parquet"],
    )
    variables = environment()
    variables["PYTHONPATH"] = f"{tmp_path / 'image'}:{variables['PYTHONPATH']}"
    run = study.run(env=variables)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "seen").exists()


def parse_time_imports() -> list[str]:
    """The import statements of the Snakefile and the rules."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow").glob("Snakefile"),
             *(ROOT / "workflow" / "rules").glob("*.smk")]  # fmt: skip
    statement = re.compile(r"^(?:from \S+ )?import (?:\((?:[^)]*)\)|.+)$", re.MULTILINE)
    return [line for file in files for line in statement.findall(file.read_text(encoding="utf-8"))]


def test_nothing_heavy_is_imported_while_snakemake_parses() -> None:
    statements = parse_time_imports()
    assert any("alignment_calibration" in statement for statement in statements)
    ours = [statement for statement in statements if "snakemake" not in statement]
    program = "\n".join([*ours, "import sys", f"print(*sorted({HEAVY} & set(sys.modules)))"])
    run = run_without((), program)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


@pytest.mark.parametrize(
    "module", ["study.vocabulary", "study.config", "inputs.code", "inputs.sample_files", "errors"]
)
def test_what_rules_may_use_is_light(module: str) -> None:
    run = run_without(HEAVY, f"import {PACKAGE.name}.{module}")
    assert run.returncode == 0, run.stderr
