"""What a run says on the terminal, before its first job, while it runs and at its end."""

import csv
import errno
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from snakemake_interface_logger_plugins.settings import OutputSettingsLoggerInterface
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from alignment_calibration.errors import logged
from alignment_calibration.report.closing import failure
from snakemake_logger_plugin_alignment_calibration import LogHandler
from snakemake_logger_plugin_alignment_calibration.config_files import problem_of
from snakemake_logger_plugin_alignment_calibration.display import Display
from tests.support.study import CHECKPOINTS, STUDY, Study, environment

TASKS = {"words": {"continuation": "demo_words", "choice": "demo_words_choice", "limit": 4}}
METHODS = ["continuation_sum", "choice"]
#: Said by Snakemake itself before anything of ours is loaded.
BEFORE_US = "Using workflow specific profile"

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join(9 * [f'*a{n - 1}'])}]\n" for n in range(1, 30)
)
BAD_CONFIGS = {
    "bomb.yaml": (BOMB, "line 6: too many values"),
    "endless.yaml": ("a: &a [*a]\n", "line 1: an alias stands for what contains it"),
    "nested.yaml": ("a: " + 3000 * "[" + 3000 * "]", "nested too deeply"),
    "huge.yaml": ("a: " + 50_000_000 * "x", "too large"),
    "twice.yaml": ("study: x\nstudy: y\n", "line 2: key 'study' stands twice"),
    "broken.yaml": ("study: x\nmodels: [\n", "line 3: not valid YAML"),
    "octal.yaml": ("statistics: {bins: 010}\n", "line 1: found 010"),
}


def said(text: str) -> list[str]:
    """The lines of an output, but Snakemake's own first one."""
    return [line for line in text.splitlines() if line and not line.startswith(BEFORE_US)]


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_config_file_is_one_line(name: str, tmp_path: Path) -> None:
    text, problem = BAD_CONFIGS[name]
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    found = problem_of(file)
    assert found is not None
    assert found.startswith(str(file))
    assert problem in found
    assert "\n" not in found
    assert "targets stand before it" not in found


def test_a_target_taken_for_a_config_file_is_told_where_to_stand(tmp_path: Path) -> None:
    for word in ("tables", str(tmp_path)):
        assert f"snakemake {word} --configfile" in (problem_of(word) or "")
    assert problem_of("no.yaml") == "--configfile: there is no file no.yaml"
    (tmp_path / "good.yaml").write_text("study: x\n")
    assert problem_of(tmp_path / "good.yaml") is None


def test_a_pipe_as_config_ends_snakemake_in_one_line(tmp_path: Path) -> None:
    """It is Snakemake that reads the file first, and would wait for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    run = Study(tmp_path, config_file="pipe.yaml").run("--dry-run")
    assert run.returncode != 0
    assert said(run.stdout + run.stderr) == ["error: pipe.yaml: not a regular file"]


class TestConformity(TestLogHandlerBase):  # type: ignore[misc]
    """Snakemake's own tests of a logger plugin."""

    __test__ = True

    def get_log_handler_cls(self) -> type[LogHandler]:
        return LogHandler

    def get_log_handler_settings(self) -> None:
        return None

    def _create_handler(self) -> LogHandler:
        settings: OutputSettingsLoggerInterface = MockOutputSettings()
        settings.printshellcmds = False
        settings.dryrun = True
        return LogHandler(settings, None)


def test_a_long_run_shows_tens_of_lines() -> None:
    """A day of 2,000 jobs, of which one ends every 40 seconds."""
    display = Display(dryrun=False, start=0)
    lines = []
    for second in range(80_000):
        lines += display.progress(second)
        if second % 40 == 0:
            record = logging.makeLogRecord(
                {"event": "progress", "done": second // 40 + 1, "total": 2000}
            )
            lines += display.lines(record, second)
    assert 20 < len(lines) < 100
    assert lines[-1].endswith("2000 of 2000 jobs")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("", "score_model m"),
        ("3 of 9 cells\n", "3 of 9 cells"),
        ("error: broken\n", "score_model m"),
    ],
)
def test_a_running_job_says_how_far_it_is_and_repeats_no_error(
    tmp_path: Path, written: str, shown: str
) -> None:
    log = tmp_path / "m.log"
    log.write_text(written)
    display = Display(dryrun=False, start=0)
    job = {"rule_name": "score_model", "wildcards": {"model": "m"}, "jobid": 1}
    files = {"output": ["m.receipt.json"], "log": [str(log)]}
    for record in (
        {"event": "run_info", "stats": {"score_model": 2, "total": 2}},
        {"event": "job_info", "reason": "", **job, **files},
    ):
        display.lines(logging.makeLogRecord(record), 0)
    assert display.progress(60)[0].endswith(f"| {shown}")


def study_in(folder: Path) -> Study:
    return Study.reduced(folder, TASKS, METHODS, targets=["all"])


def wrong(study: Study, fault: str) -> str:
    """Put a fault into a study's config; what the error must say."""
    config = study.config
    words = config["tasks"]["words"]
    if fault == "no folder":
        config["models"]["aligned"]["path"] = "nowhere"
        expected = "error: models.aligned.path: found 'nowhere', which is not a folder"
    elif fault == "no tokenizer":
        folder = study.folder / "bare"
        folder.mkdir()
        for name in ("config.json", "model.safetensors"):
            (folder / name).symlink_to(CHECKPOINTS["base"] / name)
        config["models"]["aligned"]["path"] = "bare"
        expected = "error: models.aligned: bare has no tokenizer; expected one of tokenizer.json"
    elif fault == "no task":
        words["choice"] = "demo_wrods_choice"
        expected = "error: tasks.words.choice: lm-eval knows no task 'demo_wrods_choice'"
    else:
        words["data"] = {"format": "json", "file": "nothing.jsonl"}
        missing = study.folder / "nothing.jsonl"
        expected = f"error: tasks.words.continuation: data.file: there is no file {missing}"
    study.write(config)
    return expected


@pytest.mark.parametrize("fault", ["no folder", "no tokenizer", "no task", "no data"])
def test_a_wrong_config_ends_in_one_line_before_any_job(fault: str, tmp_path: Path) -> None:
    study = study_in(tmp_path)
    expected = wrong(study, fault)
    plan = study.run("--dry-run")
    assert plan.returncode != 0
    (line,) = said(plan.stdout + plan.stderr)
    assert line.startswith(expected)
    if fault == "no folder":  # and so without -n
        run = study.run()
        assert said(run.stdout + run.stderr) == [line]
        assert not (tmp_path / "results").exists()
        listed = study.run("--list-target-rules")  # what runs no job needs no model
        assert listed.returncode == 0, listed.stderr


@pytest.mark.slow
def test_a_run_says_little_and_where_its_results_are(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    plan = said(study.run("--dry-run").stdout)
    assert len(plan) < 20
    assert re.match(r"\d+ jobs would run:", plan[0])
    assert any(re.fullmatch(r" +2 score_model +Missing output files", line) for line in plan)

    run = study.run()
    assert run.returncode == 0, run.stderr
    lines = said(run.stderr)
    assert len(lines) < 30, run.stderr
    assert f"tables:  results/{STUDY}/tables/" in lines
    assert f"figures: figures/{STUDY}/" in lines
    assert any("4 of 4 cells" in line for line in lines)
    with open(study.results / "tables" / "headline.csv", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream))  # the primary analysis stands first
    change = f"{float(row['mean_change']):+.3f}"
    told = f"mean change of {row['metric']} ({row['method']}) from base to aligned: {change}"
    assert any(line.startswith(told) for line in lines)
    (log,) = (tmp_path / ".snakemake" / "log").iterdir()
    assert str(log) in lines[-1]
    assert "rule score_model:" in log.read_text(encoding="utf-8")
    assert [line for line in said(study.run("--dry-run").stdout) if "Nothing to be done" in line]

    # A failure: the documents are no longer what the task needs.
    config = study.config
    (tmp_path / "empty.jsonl").write_text('{"nothing": 1}\n')
    config["tasks"]["words"]["data"] = {"format": "json", "file": "empty.jsonl"}
    study.write(config)
    failed = study.run()
    assert failed.returncode != 0
    lines = said(failed.stderr)
    assert len(lines) < 20, failed.stderr
    where = f"results/{STUDY}/logs/questions/words/continuation.log"
    at = lines.index(f"  log: {where}")
    assert lines[at - 1] in (tmp_path / where).read_text(encoding="utf-8")
    assert lines[at - 1].startswith("error: tasks.words.continuation: ")
    assert "Complete log" in lines[-1]


#: Loaded by Python at its start. In Snakemake: a Ctrl-C in the moment in which the first job's
#: thread was started and its pool has not yet entered it in its list. In the job: a delay, as of a
#: model that is loaded, so that it runs when all else has ended.
INTERRUPT_AT_THE_FIRST_THREAD = """
import os, signal, threading, time
if "INTERRUPT" not in os.environ:
    time.sleep(5)
start = threading.Thread.start
def interrupted(thread):
    start(thread)
    if thread.name.startswith("ThreadPoolExecutor") and os.environ.pop("INTERRUPT", None):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)
threading.Thread.start = interrupted
"""


def assert_a_few_lines_of_ctrl_c(text: str) -> None:
    assert len(said(text)) < 12, text
    assert "interrupted" in text
    assert "Traceback" not in text
    assert "error" not in text


@pytest.mark.slow
def test_ctrl_c_is_a_few_lines(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    output = tmp_path / "output"
    run = study.start(log=output)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".snakemake/scripts/*")):  # a job has begun
        assert time.monotonic() < deadline
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: Snakemake and its jobs alike
    assert run.wait(timeout=120) != 0
    assert_a_few_lines_of_ctrl_c(output.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_ctrl_c_while_a_job_is_started_is_a_few_lines(tmp_path: Path) -> None:
    study = study_in(tmp_path)
    output = tmp_path / "output"
    (tmp_path / "sitecustomize.py").write_text(INTERRUPT_AT_THE_FIRST_THREAD, encoding="utf-8")
    env = environment(study.root) | {"INTERRUPT": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(tmp_path), env["PYTHONPATH"]])
    assert study.start(log=output, env=env).wait(timeout=120) != 0
    assert_a_few_lines_of_ctrl_c(output.read_text(encoding="utf-8"))


def test_a_mistyped_target_is_one_line(tmp_path: Path) -> None:
    run = study_in(tmp_path).run(targets=["tabels"])
    assert run.returncode != 0
    assert "error: no target 'tabels'; `make help` lists them" in run.stderr.splitlines()
    assert "input functions" not in run.stderr


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("ladders", "ladder of several steps"),
        ("letter_parts", "methods choice and choice_raw"),
        ("option_order", "method choice_cyclic"),
    ],
)
def test_a_target_of_other_studies_is_one_line_before_any_job(
    target: str, what: str, tmp_path: Path
) -> None:
    run = study_in(tmp_path).run(targets=[target])
    assert run.returncode != 0
    assert said(run.stdout + run.stderr) == [f"error: this study has no {what}"]
    assert not (tmp_path / "results").exists()


def test_a_failure_names_only_what_this_run_met(tmp_path: Path) -> None:
    now = time.time()
    logs = {}
    for name, text, age in [
        ("old", "error: of another run\n", 3600),
        ("new", "loading\nerror: weights\nerror: weights\n", 0),
        ("killed", "loading\n", 0),
        ("empty", "", 0),
    ]:
        logs[name] = tmp_path / f"{name}.log"
        logs[name].write_text(text)
        os.utime(logs[name], (now - age, now - age))
    told = failure([str(log) for log in [*logs.values(), tmp_path / "none.log"]], now - 60)
    assert told.splitlines() == [
        "error: weights",
        f"  log: {logs['new']}",
        "loading",
        f"  log: {logs['killed']}",
        "it ended without a word; was it killed?",
        f"  log: {logs['empty']}",
    ]


def test_a_fault_of_ours_and_of_the_disk_stand_in_the_log_of_the_step(tmp_path: Path) -> None:
    """So that the end of the run does not take them for a kill."""
    log = tmp_path / "step.log"
    with pytest.raises(KeyError), logged(log):
        dict[str, int]()["prompt"]
    assert failure([str(log)], 0).splitlines() == ["KeyError: 'prompt'", f"  log: {log}"]
    assert "test_console.py" in log.read_text(encoding="utf-8")
    closed = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "results/x")
    with pytest.raises(SystemExit), logged(log):
        raise closed
    assert failure([str(log)], 0).splitlines() == [f"error: {closed}", f"  log: {log}"]


def test_every_profile_names_the_logger() -> None:
    profiles = Path(__file__).parents[2] / "profiles"
    for file in profiles.glob("*/config.yaml"):
        assert yaml.safe_load(file.read_text("utf-8"))["logger"] == "alignment-calibration"


def test_make_help_describes_every_target() -> None:
    """As Snakemake lists them, but for those that take a rule over from another one."""
    root = Path(__file__).parents[2]
    told = subprocess.run(["make", "help"], cwd=root, capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "snakemake", "--list-target-rules"]
    listed = subprocess.run(
        command, cwd=root, env=environment(), capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        name, _, text = line.removesuffix(".)").partition(" (")
        if name not in ("published_figures", "published_tables"):
            assert text, f"the rule {name} has no docstring"
            assert re.search(rf"^  {name} +{re.escape(text)}$", told.stdout, re.M), name
