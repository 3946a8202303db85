"""`docs/extending.md`: one of each is added to a copy of the workflow and used."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.support.study import CHECKPOINTS, ROOT, Study, copied_workflow

FIGURE = '''"""How many options each model gets right, as points."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure


def draw(metrics: pd.DataFrame) -> Figure:
    figure = Figure()
    figure.subplots().plot(metrics["value"], ".")
    return figure


def numbers(metrics: pd.DataFrame) -> dict[str, Any]:
    return {"rows": len(metrics)}
'''

TABLE = '''"""How many numbers there are of each metric."""

import pandas as pd

from alignment_calibration.report.tables.table import Section, Table


def table(metrics: pd.DataFrame) -> Table:
    counts = metrics.groupby("metric").size().reset_index(name="numbers")
    rows = tuple((str(row.metric), str(row.numbers)) for row in counts.itertuples())
    return Table("Numbers", counts, (Section("Numbers.", ("l", "r"), ("metric", "numbers"), rows),))
'''

BACKEND = '''"""Options one by one, in a class of one's own."""

from alignment_calibration.scoring.plain import PlainScorer


class SlowScorer(PlainScorer):
    pass
'''


def insert(file: Path, anchor: str, text: str) -> None:
    """Put text behind a line that stands once in a file."""
    content = file.read_text(encoding="utf-8")
    assert content.count(anchor) == 1, (file, anchor)
    file.write_text(content.replace(anchor, anchor + text), encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of a workflow with one more of everything."""
    root = copied_workflow(tmp_path_factory.mktemp("recipes") / "repository")
    package, workflow = root / "workflow" / "alignment_calibration", root / "workflow"
    schema = workflow / "schemas" / "config.schema.yaml"

    # a metric
    registry = package / "calibration" / "metrics" / "registry.py"
    entry = '    "doubt": _mean("doubt", lambda p: 1 - p.confidence, worse=0),\n'
    insert(registry, "METRICS: Final[dict[str, Metric]] = {\n", entry)
    insert(schema, "        - accuracy\n", "        - doubt\n")
    # a reading and a method
    vocabulary = package / "study" / "vocabulary.py"
    insert(
        vocabulary,
        "READINGS: Final = {\n",
        '    "half": Reading((CONTINUATION,), lambda tokens: tokens.total / 2),\n',
    )
    insert(
        vocabulary,
        "METHODS: Final = {\n",
        '    "continuation_half": Method(CONTINUATION, "half"),\n',
    )
    insert(schema, "        - continuation_sum\n", "        - continuation_half\n")
    # a figure and a table
    exhibits = package / "report" / "registry.py"
    insert(exhibits, "FIGURES: Final = {\n", '    "dots": Exhibit(("metrics",)),\n')
    insert(exhibits, "TABLES: Final = {\n", '    "counts": Exhibit(("metrics",)),\n')
    (package / "report" / "figures" / "dots.py").write_text(FIGURE, encoding="utf-8")
    (package / "report" / "tables" / "counts.py").write_text(TABLE, encoding="utf-8")
    (workflow / "report" / "dots.rst").write_text("{{ rows }} numbers.\n", encoding="utf-8")
    (workflow / "report" / "table_counts.rst").write_text("Numbers.\n", encoding="utf-8")
    # a backend
    backends = package / "scoring" / "backends.py"
    (package / "scoring" / "slow.py").write_text(BACKEND, encoding="utf-8")
    insert(backends, "BACKENDS: Final = {\n", '    "slow": Backend(_slow, own_numbers=True),\n')
    importing = """def _slow() -> Callable[[Any, "torch.device", int], Scorer]:
    from alignment_calibration.scoring.slow import SlowScorer

    return SlowScorer


"""
    text = backends.read_text(encoding="utf-8")
    anchor = "#: Every backend, by name;"
    assert text.count(anchor) == 1
    backends.write_text(text.replace(anchor, importing + anchor), encoding="utf-8")
    text = schema.read_text(encoding="utf-8")
    schema.write_text(text.replace("[auto, tree, plain]", "[auto, tree, plain, slow]"))

    added = Study.reduced(
        tmp_path_factory.mktemp("added"),
        {"words": {"continuation": "demo_words", "limit": 12}},
        ["continuation_sum", "continuation_half"],
        targets=[],
        root=root,
        models={stage: {"path": str(path)} for stage, path in CHECKPOINTS.items()},
        metrics=["accuracy", "ece", "doubt"],
        scoring={"backend": "slow"},
    )
    run = added.run()
    assert run.returncode == 0, run.stdout + run.stderr
    return added


@pytest.mark.slow
def test_every_recipe_of_the_page_is_tried() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^- \*\*(.*?)\*\*", text, re.MULTILINE)
    tried = {"a metric", "a reading or a method", "a figure or a table", "a backend"}
    of_config = {"a model", "a task", "a letters prompt"}  # as in every study's tests
    assert set(recipes) == tried | of_config


@pytest.mark.slow
def test_what_was_added_is_in_the_results(study: Study) -> None:
    metrics = pd.read_csv(study.results / "metrics.csv")
    assert set(metrics["metric"]) == {"accuracy", "ece", "doubt"}
    assert set(metrics["method"]) == {"continuation_sum", "continuation_half"}
    doubt = metrics[metrics["metric"] == "doubt"].set_index(["stage", "method"])["value"]
    # Half of the sums are at temperature 2, which is less sure.
    for stage in ("base", "aligned"):
        assert doubt[stage, "continuation_half"] > doubt[stage, "continuation_sum"]
    universes = pd.read_parquet(study.results / "multiverse.parquet")
    assert "half" in set(universes["reading"])


@pytest.mark.slow
def test_what_was_added_is_shown(study: Study) -> None:
    assert (study.folder / "figures" / "reduced" / "dots.pdf").is_file()
    captions = study.results / "captions"
    assert (captions / "dots.rst").read_text(encoding="utf-8") == "12 numbers.\n"
    assert "| doubt | 4 |" in (study.results / "tables" / "counts.md").read_text(encoding="utf-8")
    receipt = (study.results / "logits/base/words/continuation.receipt.json").read_text()
    assert '"backend": "slow"' in receipt
