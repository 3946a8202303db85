"""The environments of the rules, the project file and the pins say the same."""

import re
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


@pytest.mark.parametrize(
    ("environment", "requirements"),
    [
        ("scoring", PROJECT["dependencies"]),
        ("workflow", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["workflow"]),
    ],
)
def test_environment_has_the_pinned_requirements(environment, requirements):
    listed = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    pinned = dict(entry.split("==") for entry in listed[-1]["pip"])
    assert {normal(name): pin for name, pin in pinned.items()} == {
        normal(requirement): PINS[normal(requirement)] for requirement in requirements
    }


def test_every_requirement_is_pinned_and_says_what_it_is_for():
    extras = PROJECT["optional-dependencies"]
    requirements = [*PROJECT["dependencies"], *extras["workflow"], *extras["test"]]
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    for requirement in requirements:
        assert normal(requirement) in PINS
        [line] = [line for line in lines if f'"{requirement}"' in line]
        assert re.search(r"# \w+", line), f"{requirement}: what is it for?"
