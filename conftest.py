"""For all tests: what they leave behind is not looked through again by every collection of garbage."""

import gc

import pytest


@pytest.fixture(autouse=True)
def no_second_look():
    """Half a million objects of TensorFlow's import, and 70,000 more that it keeps of every `fit`: each collection took
    a third of a second at first and several seconds in the end, and clearing Keras's session collects.
    """
    yield
    gc.collect()
    gc.freeze()
