"""The report, opened in a browser: a click on a figure shows it, and its caption has numbers."""

import shutil
import subprocess
import zipfile

import pyarrow as pa
import pytest

from alignment_calibration.contract.calibration import ALL_METRICS
from alignment_calibration.files.atomic import write_json
from alignment_calibration.files.logits import write_receipt
from alignment_calibration.files.parquet import write_parquet
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


def test_run_summary_adds_up(tmp_path):
    write_json(
        tmp_path / "m.json",
        {"model": "m", "spec": {"hub": "o/m"}, "revision": "abc", "files": [{"size": 5}]},
    )
    for name, seconds, device in [("a", 3600, "A"), ("b", 1800, "B"), ("c", 1700, "B")]:
        write_receipt(tmp_path / f"{name}.receipt.json", {}, digest=name)
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
        write_receipt(tmp_path / f"{name}.receipt.json", {}, digest=name)
    write_json(tmp_path / "foreign.run.json", {"values_sha256": "another", "device": "C"})
    (tmp_path / "torn.run.json").write_text('{"values_sha')
    rows = [
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
    assert summary["models"] == [{"model": "m", "source": "o/m", "revision": "abc", "bytes": 5}]
    assert summary["tokens"] == 300
    assert summary["questions"] == 30
    assert summary["libraries"] == {"torch": "2.0, 2.1"}
    assert [(d["device"], d["cells"]) for d in summary["devices"]] == [("A", 1), ("B", 2)]
    assert summary["devices"][1]["hours"] == pytest.approx(3575 / 3600, abs=1e-4)
