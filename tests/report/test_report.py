"""The report, opened in a browser: its first screen answers, a click shows a figure or table."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from docutils.core import publish_doctree
from docutils.nodes import paragraph
from snakemake.report.html_reporter.data.results import render_results

from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.files.atomic import canonical_json, write_json
from alignment_calibration.files.logits import write_receipt
from alignment_calibration.files.parquet import write_parquet
from alignment_calibration.report.captions import write_caption
from alignment_calibration.report.figures import headline
from alignment_calibration.report.figures.style import write_figure
from alignment_calibration.report.html import write_with_caption
from alignment_calibration.report.run_summary import summarise
from alignment_calibration.study.settings import USUAL, Primary
from tests.support.made_study import make_study
from tests.support.study import DEMO_CONFIG, ROOT, Study

FRONT = ROOT / "workflow" / "report" / "workflow.rst"

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

#: Does as a reader would, and says in the page's title what it saw: `see()` is of the test.
READER = """
<script>
function found(find) {
  return new Promise((resolve, reject) => {
    let tries = 0;
    const timer = setInterval(() => {
      const element = find();
      if (element) { clearInterval(timer); resolve(element); }
      if (++tries > 100) { clearInterval(timer); reject("not found: " + find); }
    }, 50);
  });
}
function click(text) {
  return found(() => [...document.querySelectorAll("a")].find(a => a.textContent.trim() === text))
    .then(link => link.click());
}
async function open(name) {  // in the list of results; what it shows
  const eye = await found(() => [...document.querySelectorAll("table tbody tr")]
    .find(row => row.cells[0].textContent === name)?.querySelector("a"));
  eye.click();
  const frame = await found(() => [...document.querySelectorAll("iframe")]
    .find(frame => frame.src.endsWith("/" + name + ".html")));
  await found(() => frame.contentDocument?.readyState === "complete" &&
    frame.contentDocument.body.innerText);
  return frame.contentDocument;
}
function box(element) {
  const { left, top, right, bottom } = element.getBoundingClientRect();
  return [left, top, right, bottom];
}
%s
window.addEventListener("load", async () => {
  let seen;
  try { seen = await see(); } catch (error) { seen = { failed: String(error) }; }
  seen.window = [innerWidth, innerHeight];
  document.title = encodeURIComponent(JSON.stringify(seen));
});
</script>
"""


def seen_in(report: Path, see: str) -> dict[str, Any]:
    """What a reader of a report sees in a browser of 1366 × 768 pixels.

    Args:
        report: the zip.
        see: JavaScript of an `async function see()` that returns it.
    """
    folder = report.with_suffix("")
    with zipfile.ZipFile(report) as packed:
        packed.extractall(folder.parent)
    page = folder / "report.html"
    before, end, after = page.read_text(encoding="utf-8").rpartition("</body>")
    page.write_text(before + READER % see + end + after, encoding="utf-8")
    assert CHROMIUM is not None
    browser = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            "--window-size=1366,768",
            f"--user-data-dir={folder.parent / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    title = browser.stdout.partition("<title>")[2].partition("</title>")[0]
    seen: dict[str, Any] = json.loads(unquote(title))
    assert "failed" not in seen, seen
    return seen


def lies_within(box: Sequence[float], window: Sequence[float]) -> bool:
    """Whether a box (left, top, right, bottom) that is not empty lies within a window."""
    left, top, right, bottom = box
    return 0 <= left < right <= window[0] and 0 <= top < bottom <= window[1]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_click_shows_a_figure_with_its_caption_and_a_table_that_can_be_read(tmp_path):
    targets = ["figures/published/figure1.png", "results/published/tables/changes.html"]
    study = Study(tmp_path, targets, DEMO_CONFIG)
    for arguments in ([], ["--report", "report.zip"]):
        run = study.run(*arguments)
        assert run.returncode == 0, run.stderr
    see = """
    async function see() {
      const title = box(await found(() => document.querySelector("h1.title")));
      await click("Figures");
      const figure = await open("figure1");
      const image = figure.images[0];
      await found(() => image.complete);
      const pixels = image.naturalWidth;
      const caption = figure.querySelector("figcaption").innerText;
      app.setView({ navbarMode: "menu" });  // the house in the menu
      await click("Tables");
      const table = await open("changes");
      const cell = table.querySelector("tbody td.number");
      const size = parseFloat(table.defaultView.getComputedStyle(cell).fontSize);
      const inner = [table.defaultView.innerWidth, table.defaultView.innerHeight];
      return { title, pixels, caption, cell: box(cell), text: cell.innerText, size, inner };
    }
    """
    seen = seen_in(tmp_path / "report.zip", see)
    assert lies_within(seen["title"], seen["window"])
    assert seen["pixels"] == 1890  # two columns, 6.3 in at 300 dots per inch
    assert "rates are above zero" in seen["caption"]
    assert lies_within(seen["cell"], seen["inner"])
    assert re.fullmatch(r"[+−][\d.]+", seen["text"])
    assert seen["size"] >= 12


#: A workflow whose report has our front page, and nothing in it but a figure.
ONE_FIGURE = """
report: {front!r}

rule figure:
    input: {made!r}
    output: report("headline.html", category="Figures", labels={{"figure": "headline"}})
    shell: "cp {{input}} {{output}}"
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_the_first_screen_answers_with_the_numbers_of_the_run(tmp_path):
    study = make_study(3, 4)
    effects, universes = study["alignment_effects"], study["multiverse"]
    write_figure(headline.draw(effects, universes, USUAL), tmp_path / "h.pdf", tmp_path / "h.png")
    numbers = headline.numbers(effects, universes, USUAL)
    write_caption(FRONT.parent / "headline.rst", numbers, tmp_path / "h.rst")
    made = tmp_path / "made.html"
    write_with_caption(made, tmp_path / "h.rst", tmp_path / "h.png")
    snakefile = ONE_FIGURE.format(front=str(FRONT), made=str(made))
    (tmp_path / "Snakefile").write_text(snakefile, encoding="utf-8")
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "1"]
    for arguments in ([], ["--report", "report.zip"]):
        run = subprocess.run(
            [*snakemake, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        assert "ERROR" not in run.stderr  # of docutils, which goes on
    see = """
    async function see() {
      const page = await found(() => document.querySelector(".prose"));
      await found(() => page.querySelector("img").complete);
      const seen = ["h1", "img", "figcaption", "figure ~ p"].map(name =>
        [name, box(page.querySelector(name))]);
      return { seen, text: page.innerText };
    }
    """
    seen = seen_in(tmp_path / "report.zip", see)
    for name, place in seen["seen"]:
        assert lies_within(place, seen["window"]), (name, place, seen["window"])
    (row,) = effects[USUAL.holds(effects)].to_dict("records")
    for name in ("mean_change", "ci_low", "ci_high"):
        assert f"{100 * row[name]:+.1f} points".replace("-", "−") in seen["text"]
    ways = universes[universes["metric"] == USUAL.metric]
    worse = sum(low > 1 for low in ways["worsening_ci_low"])
    better = sum(high < 1 for high in ways["worsening_ci_high"])
    assert f"Of {len(ways)} ways to read, normalise and bin ECE" in seen["text"]
    assert re.search(rf"\b{worse} finds? it worse .*, and {better} better\.", seen["text"])


@pytest.mark.parametrize(
    ("metric", "low", "high", "answer", "sure"),
    [
        ("ece", 0.05, 0.2, "Yes", "+5.0 points to +20.0 points, leaves out 0"),
        ("ece", -0.05, 0.2, "Not shown", "−5.0 points to +20.0 points, holds 0"),
        ("ece", -0.2, -0.05, "No, better", "leaves out 0"),
        ("accuracy", -0.2, -0.05, "Yes", "leaves out 0"),
        ("accuracy", 0.05, 0.2, "No, better", "leaves out 0"),
        ("ece", None, None, "Not shown", "Not known: the mean has no interval"),
    ],
)
def test_the_answer_is_that_of_the_interval_and_of_the_side_that_is_worse(
    metric, low, high, answer, sure, tmp_path
):
    study = make_study(2, 2, methods=["choice"])
    effects = study["alignment_effects"].head(1)
    effects = effects.assign(metric=metric, ci_low=low, ci_high=high)
    effects = effects.astype({"ci_low": float, "ci_high": float})
    numbers = headline.numbers(effects, study["multiverse"], Primary(metric, "choice"))
    write_caption(FRONT.parent / "headline.rst", numbers, tmp_path / "caption.rst")
    caption = (tmp_path / "caption.rst").read_text(encoding="utf-8")
    assert f" worse here?** {answer}: under choice" in caption
    assert sure in caption.partition("How sure")[2]


def test_a_mean_that_is_undefined_on_a_task_is_not_told_as_a_finding(tmp_path):
    study = make_study(2, 2, methods=["choice"])
    effects = study["alignment_effects"].head(1).assign(metric="auroc", pairs_worse=None)
    effects = effects.assign(mean_change=np.nan, ci_low=np.nan, ci_high=np.nan)
    numbers = headline.numbers(effects, study["multiverse"], Primary("auroc", "choice"))
    write_caption(FRONT.parent / "headline.rst", numbers, tmp_path / "caption.rst")
    caption = (tmp_path / "caption.rst").read_text(encoding="utf-8")
    assert "Not known, since it is undefined on a task" in caption
    assert "nan" not in caption
    assert "pairs and" not in caption.partition("worse for")[2]


def test_one_test_is_counted_once(tmp_path):
    """`ece_debiased` has the estimate of `ece`: two metrics by two methods are three tests more."""
    row = make_study(2, 2, methods=["choice"])["alignment_effects"].head(1)
    effects = pd.concat(
        row.assign(metric=metric, method=method, p_value=0.01)
        for metric in ("ece", "ece_debiased", "sce")
        for method in ("choice", "continuation_sum")
    )
    numbers = headline.numbers(effects, make_study(2, 2)["multiverse"], Primary("ece", "choice"))
    assert (numbers["secondary"], numbers["found"], numbers["directed"]) == (3, 3, 3)
    write_caption(FRONT.parent / "headline.rst", numbers, tmp_path / "caption.rst")
    assert "debiased not counted, having the test of another)" in (
        tmp_path / "caption.rst"
    ).read_text(encoding="utf-8")
    # Where it is all that was measured beside the primary analysis, that is no nothing.
    two = effects[effects["metric"].ne("sce") & effects["method"].eq("choice")]
    numbers = headline.numbers(two, make_study(2, 2)["multiverse"], Primary("ece", "choice"))
    assert numbers["secondary"] == 0
    write_caption(FRONT.parent / "headline.rst", numbers, tmp_path / "caption.rst")
    assert "Nothing else" not in (tmp_path / "caption.rst").read_text(encoding="utf-8")


#: Texts that would be something else in reStructuredText: directives, roles, lists, links, HTML.
AWKWARD = [
    "</script><script>alert(1)</script>",
    "x\n\n.. raw:: html\n\n   <script>alert(1)</script>",
    "x\n\n.. include:: /etc/passwd",
    ".. raw:: html",
    ":math:`x` `a <javascript:alert(1)>`_ |y| a_ b__ _`t` [1]_ http://example.org",
    "**a** *b* ``c`` \\d",
    "- a",
    "1. a",
    "(a) b",
    "====",
    "+12.3 %",
    ":field: x",
    ">>> x",
    "__ x",
    "x::",
]


@pytest.mark.parametrize("text", AWKWARD)
def test_a_caption_shows_every_text_as_it_is(tmp_path, text):
    template = "{{ text }}\n\n- {{ text }}\n- x {{ text }}: :literal:`{{ text }}`\n"
    (tmp_path / "t.rst").write_text(template)
    write_caption(tmp_path / "t.rst", {"text": text}, tmp_path / "caption.rst")
    caption = (tmp_path / "caption.rst").read_text(encoding="utf-8")
    settings = {"report_level": 1, "halt_level": 1}  # what docutils does not understand is an error
    document = publish_doctree(caption, settings_overrides=settings)
    kinds = {type(node).__name__ for node in document.findall() if type(node).__name__ != "Text"}
    assert kinds == {
        *("document", "paragraph", "bullet_list", "list_item", "literal"),
    }
    words = " ".join(text.split())
    paragraphs = [" ".join(p.astext().split()) for p in document.findall(paragraph)]
    assert paragraphs == [words, words, f"x {words}: {words}"]


def test_params_do_not_end_the_reports_script(tmp_path):
    """Snakemake's own function writes what stands in an inline script of the report."""
    slice = {"tasks": {"t": {"data": {"file": "a</script><script>alert(1)</script>.jsonl"}}}}
    params = canonical_json(slice)
    assert json.loads(params) == slice
    job = SimpleNamespace(rule=SimpleNamespace(name="r"))
    result = SimpleNamespace(
        path=tmp_path,
        id="i",
        job=job,
        size=1,
        params=params,
        **dict.fromkeys(["name", "filename", "labels", "caption", "mime", "wildcards"], ""),
    )
    inline = render_results({"c": {"s": [result]}}, mode_embedded=False)
    assert "</script" not in inline
    assert json.loads(inline)[str(tmp_path)]["job_properties"]["params"] == params


def test_run_summary_adds_up(tmp_path):
    write_json(
        tmp_path / "m.json",
        {"model": "m", "spec": {"hub": "o/m"}, "revision": "abc", "files": [{"size": 5}]},
    )
    scored, sampled = ({"model": {key: "m"}} for key in ("hub", "samples"))
    write_receipt(tmp_path / "sampled.receipt.json", sampled, digest="sampled")
    # Two jobs, started in 25 s; the second scored two cells.
    for name, seconds, startup, device in [
        ("a", 3600, 25, "A"),
        ("b", 1800, 25, "B"),
        ("c", 1700, 0, "B"),
    ]:
        write_receipt(tmp_path / f"{name}.receipt.json", scored, digest=name)
        write_json(
            tmp_path / f"{name}.run.json",
            {
                "values_sha256": name,
                "device": device,
                "seconds": seconds,
                "startup_seconds": startup,
                "questions": 10,
                "tokens_computed": 100,
                "libraries": {"torch": "2.0" if name == "a" else "2.1"},
            },
        )
    for name in ("foreign", "lost", "torn"):
        write_receipt(tmp_path / f"{name}.receipt.json", scored, digest=name)
    write_json(tmp_path / "foreign.run.json", {"values_sha256": "another", "device": "C"})
    (tmp_path / "torn.run.json").write_text('{"values_sha')
    rows: list[dict[str, object]] = [
        {"pair": pair, "stage": "base", "model": "m", "task": task, "method": "choice"}
        | {"metric": metric, "n": 40, "truncated": cut}
        for pair in ("X", "Y")
        for task, cut in (("t", 3), ("u", 0), ("v", None))
        for metric in ("ece", "sce")
    ]
    write_parquet(tmp_path / "metrics.parquet", pa.Table.from_pylist(rows, schema=ALL_METRICS))
    summary = summarise(
        [tmp_path / "m.json"],
        sorted(tmp_path.glob("*.receipt.json")),
        tmp_path / "metrics.parquet",
    )
    assert summary["truncated"] == [
        {"model": "m", "task": "t", "method": "choice", "n": 40, "truncated": 3}
    ]
    assert summary["not_recorded"] == 3
    assert summary["sampled"] == 1
    assert summary["models"] == [{"model": "m", "source": "o/m", "revision": "abc", "bytes": 5}]
    assert summary["tokens"] == 300
    assert summary["questions"] == 30
    assert summary["libraries"] == {"torch": "2.0, 2.1"}
    assert [(d["device"], d["cells"]) for d in summary["devices"]] == [("A", 1), ("B", 2)]
    assert summary["devices"][1]["hours"] == pytest.approx(3525 / 3600, abs=1e-4)
