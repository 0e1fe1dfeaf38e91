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


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """(Servable of a network of frames in versions 2, named stable, and 10; the network; the folder above)."""
    from support import served

    from tfdeepfake.serving.servable import Servable

    folder = tmp_path_factory.mktemp("frame")
    model = served.exported(folder, versions=(2, 10))
    return Servable(folder / "net", labels={"stable": 2}), model, folder


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


@pytest.fixture
def own_cache_and_no_proxy(monkeypatch, tmp_path):
    """What is fetched is kept in the test's own folder; no proxy of the machine is asked."""
    from support import loopback

    loopback.isolate(monkeypatch, tmp_path / "home")


@pytest.fixture
def site(own_cache_and_no_proxy):
    """A server on the loopback, to fetch from."""
    from support import loopback

    with loopback.Site() as site:
        yield site
