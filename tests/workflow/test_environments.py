"""The environments of the rules, the project file and the pins say the same."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
)


def normal(requirement: str) -> str:
    """A requirement's package name, as package indexes compare names."""
    name = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def requirements_of(extra: str) -> list[str]:
    """The requirements that an extra adds, those of extras that it names among them."""
    found = []
    for requirement in PROJECT["optional-dependencies"][extra]:
        if own := re.fullmatch(rf"{PROJECT['name']}\[(\w+)\]", requirement):
            found += requirements_of(own[1])
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize("environment", ["scoring", "workflow"])
def test_environment_has_the_pinned_requirements(environment):
    requirements = [*PROJECT["dependencies"], *requirements_of(environment)]
    listed = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    pinned = dict(entry.split("==") for entry in listed[-1]["pip"])
    assert {normal(name): pin for name, pin in pinned.items()} == {
        normal(requirement): PINS[normal(requirement)] for requirement in requirements
    }


def test_the_library_needs_nothing_that_scores_or_runs_a_workflow():
    """`measure` and `compare`, in a process of their own, import what a bare install brings."""
    allowed = {normal(requirement) for requirement in PROJECT["dependencies"]}
    others = {normal(requirement) for requirement in requirements_of("workflow")} - allowed
    program = (
        "import sys; from alignment_calibration import compare, measure\n"
        "measure([[0.9, 0.1], [0.4, 0.6]], [0, 1], resamples=2)\n"
        "compare([[0.9, 0.1]], [[0.8, 0.2]], [0], resamples=2, permutations=2)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not others & {normal(name) for name in run.stdout.split()}


def test_every_requirement_is_pinned_and_says_what_it_is_for():
    requirements = [*PROJECT["dependencies"], *requirements_of("test")]
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in requirements:
        assert normal(requirement) in PINS
        [line] = [line for line in lines if f'"{requirement}"' in line]
        assert re.search(r"# \w+", line), f"{requirement}: what is it for?"
