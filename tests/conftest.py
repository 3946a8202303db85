"""What several tests use: a reduced study that really runs, once."""

import signal

import pytest
from hypothesis import settings

from tests.support.study import Study, copied_workflow, demo_config

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine under load is no failure: no example has a deadline.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A finished study of seconds: the demo's models, two of its tasks, a few questions. It was
    run by a copy of the workflow, whose code a test may edit.
    """
    tasks = dict(list(demo_config()["tasks"].items())[:2])
    reduced = Study.reduced(
        tmp_path_factory.mktemp("study"),
        {name: {**task, "limit": 20} for name, task in tasks.items()},
        targets=(),
        root=copied_workflow(tmp_path_factory.mktemp("repository")),
        statistics={"resamples": 50, "permutations": 50},
    )
    result = reduced.run()
    assert result.returncode == 0, result.stdout + result.stderr
    return reduced
