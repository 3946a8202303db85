"""The code of a step: what Python imports, and what Snakemake runs after an edit."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alignment_calibration.inputs.code import imported_code
from tests.support.imports import PACKAGE, loaded, reachable
from tests.support.study import ROOT, Job, Study

SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize("entry", [*SCRIPTS, *sorted(PACKAGE.rglob("*.py"))], ids=lambda p: p.stem)
def test_the_code_is_what_the_standard_library_finds(entry: Path) -> None:
    assert set(imported_code(entry)) == reachable(entry)


def test_all_that_python_loads_for_a_script_is_in_its_code() -> None:
    for script, files in zip(SCRIPTS, loaded(SCRIPTS), strict=True):
        assert files, script
        assert files <= set(imported_code(script)), script


def scripts_of(jobs: list[Job], root: Path) -> dict[tuple[str, str], Path]:
    """The script of each job that has one."""
    folder = root / "workflow" / "rules"
    rules: dict[str, str] = {}
    for file in folder.glob("*.smk"):
        for rule, body in re.findall(
            r"^rule (\w+):\n((?:(?: .*)?\n)*)", file.read_text(encoding="utf-8"), re.MULTILINE
        ):
            if match := re.search(r'^    script:\n        "(.*)"', body, re.MULTILINE):
                rules[rule] = match[1]
    found = {}
    for job in jobs:
        if job.rule in rules:
            path = rules[job.rule]
            for part in filter(None, job.wildcards.split(", ")):
                name, value = part.split("=")
                path = path.replace(f"{{wildcards.{name}}}", value)
            found[job.rule, job.wildcards] = (folder / path).resolve()
    return found


@pytest.fixture(scope="module")
def scripts(study: Study) -> dict[tuple[str, str], Path]:
    """The script of every job of the study."""
    return scripts_of(study.planned_jobs("--forceall"), study.root)


@pytest.fixture
def edited(study: Study, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A module of the package, in the copy of the repository, with a comment more."""
    file: Path = study.root / PACKAGE.relative_to(ROOT) / request.param
    before = file.read_bytes()
    file.write_bytes(before + b"# edited\n")
    yield file
    file.write_bytes(before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "edited",
    ["report/run_summary.py", "calibration/resampling.py", "files/atomic.py"],
    indirect=True,
)
def test_an_edit_runs_what_imports_the_module_and_what_follows(
    study: Study, scripts: dict[tuple[str, str], Path], edited: Path
) -> None:
    code = ROOT / edited.relative_to(study.root)
    importing = {
        job
        for job, script in scripts.items()
        if code in reachable(ROOT / script.relative_to(study.root))
    }
    assert importing
    planned = {(job.rule, job.wildcards): job.reason for job in study.planned_jobs()}
    assert importing <= set(planned)
    # Of a job with both reasons, Snakemake names only the other job.
    for job in scripts.keys() & planned.keys():
        by_code = planned[job].startswith("Params have changed since last execution: ")
        assert by_code or planned[job].startswith("Input files updated by another job: "), job
        assert job in importing or not by_code, job
