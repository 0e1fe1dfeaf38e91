"""What several files of tests use."""

import pytest


@pytest.fixture(scope="module")
def tiny_networks_by_name():
    """The networks of `support.tiny_networks` are known by name in a module of tests."""
    from support import tiny_networks

    from tfdeepfake import models

    before = dict(models.MODELS)
    tiny_networks.register()
    yield
    models.MODELS.clear()
    models.MODELS.update(before)


@pytest.fixture
def judge(monkeypatch):
    """Judging is pretended."""
    from support.pretended import Judge

    from tfdeepfake.serving import jobs

    judge = Judge()
    monkeypatch.setattr(jobs, "plain_process", lambda **options: judge)
    monkeypatch.setattr(jobs, "POLL_S", 0.01)
    yield judge
    judge.go.set()
