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
