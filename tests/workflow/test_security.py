"""Configs and checkpoints are data: nothing in them runs."""

import ast
import json
import shutil
from pathlib import Path

import pytest

from tests.support.study import CHECKPOINTS, ROOT, Study

PACKAGE = ROOT / "workflow"
EVIL = "$(touch pwned)`touch pwned`;'\"& touch pwned #"


@pytest.mark.slow
def test_no_value_of_a_config_reaches_a_shell(tmp_path: Path) -> None:
    """A study that runs to its end with a command in every string that is not a slug."""
    shutil.copytree(CHECKPOINTS["base"], tmp_path / EVIL / "base")
    shutil.copytree(CHECKPOINTS["aligned"], tmp_path / EVIL / "tuned")
    documents = (ROOT / "data" / "demo" / "questions" / "physical.jsonl").read_text(
        encoding="utf-8"
    )
    (tmp_path / EVIL / f"{EVIL}.jsonl").write_text(
        "".join(documents.splitlines(keepends=True)[:6]), encoding="utf-8"
    )
    task = {
        "task": EVIL,
        "dataset_path": "json",
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": f"{EVIL} {{{{context}}}}",
        "doc_to_choice": "options",
        "doc_to_target": "gold",
        "metadata": {"version": 1.0},
    }
    letters = {
        "task": f"{EVIL} choice",
        "metadata": {
            "based_on": EVIL,
            "letters": {"question": "question", "options": "options"},
        },
    }
    for number, content in enumerate((task, letters)):
        (tmp_path / EVIL / f"{EVIL}{number}.yaml").write_text(json.dumps(content), encoding="utf-8")
    study = Study.reduced(
        tmp_path,
        {
            "physical": {
                "continuation": EVIL,
                "choice": [f"{EVIL} choice"],
                "letters": "mine",
                "data": {"file": f"{EVIL}/{EVIL}.jsonl", "format": "json"},
            }
        },
        models={"base": {"path": f"{EVIL}/base"}, "aligned": {"path": f"{EVIL}/tuned"}},
        letters={
            "mine": EVIL + "{% for o in options %}{{ letters[loop.index0] }} {{ o }}{% endfor %}"
        },
        task_folders=[EVIL],
    )
    run = study.run()
    assert run.returncode == 0, run.stderr
    assert len(study.cells()) == 4
    assert list(tmp_path.rglob("pwned")) == []
    assert not (ROOT / "pwned").exists()


def test_nothing_is_unpickled() -> None:
    """No module imports a library that unpickles, or calls a loader that may."""
    unpickling = {"pickle", "cPickle", "dill", "joblib", "shelve", "cloudpickle"}
    sources = sorted(PACKAGE.rglob("*.py"))
    assert len(sources) > 20
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.split(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").split(".")[0]]
            elif isinstance(node, ast.Call):
                call = ast.unparse(node.func)
                assert call not in {"torch.load", "np.load", "pd.read_pickle"}, (source, call)
            assert not unpickling & set(names), source
