"""The papers of the house: what they name is there, and what they say of the code holds."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from alignment_calibration.study import config
from tests.support.study import ROOT

PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in page.relative_to(ROOT).parts)
    and page.relative_to(ROOT).parts[0] not in {"results", "figures"}
)
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def linked(page: Path) -> set[str]:
    """What a page links to within the repository."""
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    return {link for link in links if "://" not in link}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    assert [link for link in linked(page) if not (page.parent / link).exists()] == []


def test_every_page_of_the_docs_is_in_the_index() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages <= linked(ROOT / "docs" / "README.md")


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.search(rf"^## \[{re.escape(VERSION)}\] - (\S+)$", changes, re.MULTILINE)
    assert released is not None
    assert citation["date-released"] == released[1]


def test_the_workflow_catalog_finds_what_it_asks_for() -> None:
    """https://snakemake.github.io/snakemake-workflow-catalog, "Standardized usage"."""
    settings = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8"))
    usage = settings["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment"}
    assert set(usage["software-stack-deployment"]) == {
        "conda", "apptainer", "apptainer+conda", "report",
    }  # fmt: skip
    assert (ROOT / "workflow" / "Snakefile").is_file()
    assert (ROOT / "config" / "README.md").is_file()
    words = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in words
    assert "workflow" in words


@pytest.mark.parametrize("page", ["README.md", "config/README.md"])
def test_studies_in_the_pages_are_valid(page: str, tmp_path: Path) -> None:
    schema = ROOT / "workflow" / "schemas" / "config.schema.yaml"
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)
    studies = [block for block in blocks if "study:" in block]
    assert studies
    for study in studies:
        (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
        config.load([tmp_path / "study.yaml"], {}, schema)


def test_every_test_that_the_promises_name_is_there() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", page)
    assert named
    for file, test in named:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert not test or f"\ndef {test}(" in text, f"{file}::{test}"
