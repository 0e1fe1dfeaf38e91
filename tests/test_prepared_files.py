"""Files of prepared data: those of another schema, missing, cut, damaged or too long are named before harm is done."""

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from support.prepared import write_prepared

from tfdeepfake.cli import prepare as prepare_verb
from tfdeepfake.cli.main import main
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches import prepared as prepared_module
from tfdeepfake.errors import InputError

TRAIN = 16


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_prepared(root)
    return root


@pytest.fixture
def own_copy(data_dir, tmp_path):
    shutil.copytree(data_dir / "tiny", tmp_path / "tiny")
    prepared = pipeline.open_data("tiny", tmp_path)
    return prepared, Path(prepared.split("train").filepaths[0])


def test_the_command_that_rebuilds_a_config_of_ones_own(tmp_path, monkeypatch):
    options = {"methods": ("Face Swap", "Deepfakes"), "masks": True}
    write_prepared(tmp_path, name="video_folder", config="clip_4spaced_wholeframe_m0.3_32x40_dis", options=options)
    command = prepared_module.rebuild_command(pipeline.open_data("video_folder", tmp_path))
    assert command.startswith("tfdeepfake prepare video_folder --dir FOLDER --input-type clip --data-dir")
    for flag in ("--num-frames 4", "--detector none", "--height-px 32", "--width-px 40", "--flow dis", "--overwrite"):
        assert f"{flag} " in command + " "
    given = []
    monkeypatch.setattr(prepare_verb, "run", given.append)
    main(shlex.split(command)[1:])
    assert given[0].option == ["methods=Face Swap,Deepfakes", "masks=True"]


@pytest.mark.parametrize(
    ("schema", "named", "remedy"),
    [
        (
            None,
            "names no schema",
            "Prepare it again: tfdeepfake prepare tiny --input-type clip --data-dir .* --overwrite",
        ),
        (2, "is of schema 2", "Update tfdeepfake"),
    ],
)
def test_data_of_another_schema_is_refused_with_the_command(own_copy, schema, named, remedy):
    path = own_copy[1].parent / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(InputError, match=f"1.0.0: {named}; this version reads schema 1. {remedy}"):
        pipeline.open_data("tiny", path.parents[3])


def test_data_in_a_format_of_tfds_that_is_not_read_are_refused(own_copy):
    path = own_copy[1].parent / "dataset_info.json"
    path.write_text(path.read_text().replace('"fileFormat": "tfrecord"', '"fileFormat": "array_record"'))
    with pytest.raises(InputError, match="is stored as array_record, .* tfrecord is read. Prepare it again"):
        pipeline.open_data("tiny", path.parents[3])


@pytest.mark.parametrize("how", ["missing", "cut"])
def test_a_missing_or_cut_file_is_named_before_reading(own_copy, how):
    prepared, path = own_copy
    if how == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(
        InputError, match="tfdeepfake prepare tiny --input-type clip --data-dir .*--overwrite"
    ) as caught:
        pipeline.training_batches(prepared, "train", "clip", 2)
    assert caught.value.subject == str(path)


def test_a_flipped_byte_is_named_while_reading(own_copy):
    prepared, path = own_copy
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged after record .* of 16 .*corrupted") as caught:
        with pipeline.reading(prepared, "train"):
            list(pipeline.scoring_batches(prepared, "train", "clip", 2))
    assert caught.value.subject == str(path)


def test_a_record_too_many_is_named_while_reading(own_copy):
    """Whole records, a large enough file: nothing but the count shows that it is another file."""
    prepared, path = own_copy
    record = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(TRAIN + 1):
            writer.write(record)
    with pytest.raises(InputError, match="holds 17 of 16 records") as caught:
        with pipeline.reading(prepared, "train"):
            list(pipeline.training_batches(prepared, "train", "clip", 2))
    assert caught.value.subject == str(path)


def test_the_cache_is_shared_by_the_epochs(own_copy):
    """With the files gone after the first epoch, only memory can give the second."""
    prepared, path = own_copy
    # One epoch's batches are still in the prefetch buffer, so read well into the second.
    batches = iter(pipeline.training_batches(prepared, "train", "clip", 2, epochs=4))
    for _ in range(9):
        next(batches)
    path.unlink()
    assert len(list(batches)) == 4 * 8 - 9
