"""face_forensics: lists, splits and labels of a drawn tree laid out as the set is, and one build of it."""

import json
from pathlib import Path

import pytest

from tests.media import SHARED
from tfdeepfake.files import InputError
from tfds_builders.face_forensics import listing
from tfds_builders.face_forensics.listing import ACTOR_SPLITS, ALL_METHODS, METHODS, list_videos, read_splits
