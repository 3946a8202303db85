"""The report, opened in a browser: a click on a figure shows it, and its caption has numbers."""

import json
import shutil
import subprocess
import zipfile
from types import SimpleNamespace

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
from alignment_calibration.report.run_summary import summarise
from tests.support.study import DEMO_CONFIG, Study

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

#: Clicks as a reader would: the results, a figure, what is known of it. What was seen
#: comes back in the page's title.
CLICKS = """
<script>
function found(find) {
  return new Promise((resolve, reject) => {
    let tries = 0;
    const timer = setInterval(() => {
      const element = find();
      if (element) { clearInterval(timer); resolve(element); }
      if (++tries > 200) { clearInterval(timer); reject("not found: " + find); }
    }, 50);
  });
}
window.addEventListener("load", async () => {
  try {
    const links = () => [...document.querySelectorAll("a")];
    (await found(() => links().find(a => a.textContent.trim() === "Results"))).click();
    const buttons = await found(() => {
      const rows = [...document.querySelectorAll("table tbody tr")];
      const row = rows.find(row => row.textContent.includes("figure1"));
      const all = row ? row.querySelectorAll("a") : [];
      return all.length > 1 && all;
    });
    buttons[0].click();
    const image = await found(() =>
      [...document.images].find(i => i.src.endsWith("figure1.png") && i.complete));
    document.title = "shown " + image.naturalWidth + "x" + image.naturalHeight;
    buttons[1].click();
    await found(() => document.body.innerText.includes("rates are above zero"));
    document.title += " with numbers";
  } catch (error) {
    document.title = "failed " + error;
  }
});
</script>
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_click_shows_the_figure(tmp_path):
    study = Study(tmp_path, ["figures/published/figure1.png"], DEMO_CONFIG)
    for arguments in ([], ["--report", "report.zip"]):
        run = study.run(*arguments)
        assert run.returncode == 0, run.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as report:
        report.extractall(tmp_path)
    page = tmp_path / "report" / "report.html"
    html = page.read_text(encoding="utf-8")
    before, end, after = html.rpartition("</body>")
    page.write_text(before + CLICKS + end + after, encoding="utf-8")
    assert CHROMIUM is not None
    browser = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--allow-file-access-from-files",
            "--virtual-time-budget=20000",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    title = browser.stdout.partition("<title>")[2].partition("</title>")[0]
    assert title.startswith("shown 1890x"), title  # two columns, 6.3 in at 300 dots per inch
    assert title.endswith(" with numbers"), title


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
    for name, seconds, device in [("a", 3600, "A"), ("b", 1800, "B"), ("c", 1700, "B")]:
        write_receipt(tmp_path / f"{name}.receipt.json", scored, digest=name)
        write_json(
            tmp_path / f"{name}.run.json",
            {
                "values_sha256": name,
                "device": device,
                "seconds": seconds,
                "startup_seconds": 50 if name == "c" else 25,
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
    assert summary["devices"][1]["hours"] == pytest.approx(3575 / 3600, abs=1e-4)
