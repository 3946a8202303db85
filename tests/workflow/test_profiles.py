"""The example profile for other schedulers, with a scheduler that only notes what it is asked."""

import os
from pathlib import Path

import pytest

from tests.support.study import STUDY, Study, environment

SCHEDULER = """\
#!/bin/sh
# Notes the request and runs the script, the last argument, in the background.
echo "$@" >> "{log}"
for script; do :; done
(sh "$script" > /dev/null 2>&1 &)
echo 1
"""


@pytest.mark.slow
def test_jobs_go_through_any_submit_command(tmp_path: Path) -> None:
    tasks = {"words": {"continuation": "demo_words", "limit": 4}}
    study = Study.reduced(tmp_path, tasks, ["continuation_sum"])
    qsub = tmp_path / "bin" / "qsub"
    qsub.parent.mkdir()
    qsub.write_text(SCHEDULER.format(log=tmp_path / "requests"), encoding="utf-8")
    qsub.chmod(0o755)
    variables = environment()
    variables["PATH"] = f"{qsub.parent}{os.pathsep}{variables['PATH']}"
    cell = f"results/{STUDY}/logits/base/words/continuation.receipt.json"
    run = study.run(
        "--latency-wait", "10", targets=[cell], profile="cluster-generic", env=variables
    )
    assert run.returncode == 0, run.stderr
    assert list(study.cells()) == ["base/words/continuation.parquet"]
    (request,) = (tmp_path / "requests").read_text(encoding="utf-8").splitlines()
    # The weights of the demo's model are 2.3 MiB.
    assert "-q gpu.q -pe smp 4 -l h_rt=00:1440:00,mem_free=16003M,gpu=1 " in request
