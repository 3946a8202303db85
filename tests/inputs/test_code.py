"""The code of a step: what Python imports, and what Snakemake runs after an edit."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alignment_calibration.inputs.code import imported_code
from tests.support.imports import PACKAGE, loaded, reachable
from tests.support.study import ROOT, STUDY, Job, Study

SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize("entry", [*SCRIPTS, *sorted(PACKAGE.rglob("*.py"))], ids=lambda p: p.stem)
def test_the_code_is_what_the_standard_library_finds(entry: Path) -> None:
    assert set(imported_code(entry)) == reachable(entry)


def test_all_that_python_loads_for_a_script_is_in_its_code() -> None:
    for script, files in zip(SCRIPTS, loaded(SCRIPTS), strict=True):
        assert files, script
        assert files <= set(imported_code(script)), script


Key = tuple[str, str]


def entries_of(job: Job, study: Study) -> list[Path]:
    """The files that a job starts from: its script and what that finds by name, or its command."""
    workflow = study.root / "workflow"
    package = workflow / PACKAGE.name
    files = [workflow / "Snakefile", *workflow.rglob("*.smk")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    rule = re.search(rf"^( *)rule {job.rule}:\n((?:\1 +.*\n|\n)*)", text, re.MULTILINE)
    assert rule is not None, job
    if script := re.search(r'script:\n *"../scripts/(\w+).py"', rule[2]):
        exhibits = {"figures": study.folder / "figures" / STUDY, "tables": study.results / "tables"}
        made = exhibits[script[1]].iterdir() if script[1] in exhibits else ()
        return [
            workflow / "scripts" / f"{script[1]}.py",
            *{package / "report" / script[1] / f"{path.stem}.py" for path in made},
        ]
    return [package / "scoring" / "__main__.py"] if "SCORE" in rule[2] else []


@pytest.fixture(scope="module")
def entries(study: Study) -> dict[Key, list[Path]]:
    """The files that every job of the study starts from."""
    jobs = study.planned_jobs("--forceall")
    return {(job.rule, job.wildcards): entries_of(job, study) for job in jobs}


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
    ("edited", "rules"),
    [
        ("report/run_summary.py", {"run_summary"}),
        ("report/figures/multiverse.py", {"figures"}),
        ("scoring/trie.py", {"score_model"}),
        ("calibration/resampling.py", None),  # some
        ("files/atomic.py", None),  # nearly all
    ],
    indirect=["edited"],
)
def test_an_edit_runs_what_imports_the_module_and_what_follows(
    study: Study, entries: dict[Key, list[Path]], edited: Path, rules: set[str] | None
) -> None:
    importing = {
        job for job, files in entries.items() if any(edited in reachable(file) for file in files)
    }
    assert {rule for rule, _ in importing} == rules if rules else len(importing) > 3
    planned = {(job.rule, job.wildcards): job.reason for job in study.planned_jobs()}
    assert importing <= planned.keys()
    for job, reason in planned.items():
        if job not in importing:
            assert reason.startswith("Input files updated by another job: "), (job, reason)
