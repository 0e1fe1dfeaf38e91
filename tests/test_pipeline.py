"""Batches: what a network of each input type gets, order and flips by (seed, epoch)."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from support.prepared import write_prepared

from tfdeepfake.data import flow
from tfdeepfake.data.batches import pipeline
from tfdeepfake.data.batches.network_inputs import prefetched
from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe

T, H, W = 4, 32, 40
TRAIN, VALIDATION = 16, 9


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    write_prepared(root)
    for input_type in ("frame", "flow"):
        recipe = DataRecipe(input_type=input_type, num_frames=T, detector="none", height_px=H, width_px=W, flow="dis")
        write_prepared(root, recipe, name="single", config=input_type)
    write_prepared(root, DataRecipe(num_frames=T, detector="none", height_px=H, width_px=W), name="noflow")
    write_prepared(root, name="sharded", shards=5)
    return root


@pytest.fixture(scope="module")
def clips(data_dir):
    return pipeline.open_data("tiny", data_dir)


def epochs(prepared, count=1, first=0, input_type="clip", batch_size=3, with_flow=None, **settings):
    """The batches of `count` epochs as numpy; `settings` are fields of BatchSettings."""
    dataset = pipeline.training_batches(
        prepared, "train", input_type, batch_size, pipeline.BatchSettings(**settings), first, count, with_flow
    )
    return list(dataset.as_numpy_iterator())


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(x, y) for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True)
    )


def test_a_clip_network_gets_frames_flow_and_label(clips):
    inputs, label = epochs(clips)[0]
    assert inputs["frames"].shape == (3, T, H, W, 3) and inputs["frames"].dtype == np.uint8
    assert inputs["flow"].shape == (3, T, H, W, 2) and inputs["flow"].dtype == np.float32
    assert label.shape == (3, 1) and label.dtype == np.float32


@pytest.mark.parametrize("input_type", ["frame", "flow"])
def test_a_clip_data_set_is_read_as_a_bag_of_frames(clips, input_type):
    inputs, label = epochs(clips, input_type=input_type)[0]
    assert inputs["frames"].shape == (3, H, W, 3) and label.shape == (3, 1)
    assert ("flow" in inputs) == (input_type == "flow")
    assert pipeline.example_count(clips, "train", input_type) == TRAIN * T
    assert len(epochs(clips, input_type=input_type, batch_size=5)) == TRAIN * T // 5


def test_frames_of_the_bag_are_those_of_the_clips(clips):
    clip = [b[0] for b in pipeline.scoring_batches(clips, "validation", "clip", 2).as_numpy_iterator()]
    bag = [b[0] for b in pipeline.scoring_batches(clips, "validation", "flow", 5).as_numpy_iterator()]
    for name in ("frames", "flow"):
        whole = np.concatenate([b[name] for b in clip])
        np.testing.assert_array_equal(np.concatenate([b[name] for b in bag]), whole.reshape(-1, *whole.shape[2:]))


@pytest.mark.parametrize("input_type", ["frame", "flow"])
def test_a_data_set_of_single_frames(data_dir, input_type):
    prepared = pipeline.open_data("single", data_dir, input_type)
    inputs, _, keys = next(
        pipeline.scoring_batches(prepared, "test", input_type, 3, with_keys=True).as_numpy_iterator()
    )
    assert inputs["frames"].shape == (3, H, W, 3)
    assert ("flow" in inputs) == (input_type == "flow")
    assert [int(name[1:]) * 1000 for name in keys["video"]] == keys["frame"].tolist()


def test_flow_is_what_numpy_unpacks(clips):
    """The stored flow is random bytes, so any slip of layout or scale shows."""
    spec = clips.builder.info.features.tf_example_spec
    record = next(iter(tf.data.TFRecordDataset(str(clips.split("test").filepaths[0]))))
    stored = tf.io.parse_single_example(record, {n: spec[n] for n in ("flow", "flow_max_px")})
    packed = np.stack([tf.io.decode_png(one).numpy() for one in stored["flow"]])
    expected = flow.unpack_flow(packed, stored["flow_max_px"].numpy())
    inputs, _ = next(pipeline.scoring_batches(clips, "test", "clip", 2).as_numpy_iterator())
    np.testing.assert_allclose(inputs["flow"][0], expected, atol=1e-6)  # one rounding of float32 below 4 px


def test_every_example_once_an_epoch_and_another_order_each(clips):
    one, two = epochs(clips, batch_size=1), epochs(clips, first=1, batch_size=1)
    assert len(one) == len(two) == TRAIN
    names = [sorted(b[0]["frames"].tobytes() for b in each) for each in (one, two)]
    assert names[0] == names[1] and len(set(names[0])) == TRAIN
    assert not same(one, two)
    assert not same(one, epochs(clips, batch_size=1, seed=1))


@pytest.mark.parametrize("input_type", ["clip", "frame"])
@pytest.mark.parametrize("cache_bytes", [0, pipeline.CACHE_BYTES])
def test_order_depends_on_seed_and_epoch_only(clips, input_type, cache_bytes):
    """A run resumed at epoch 2 sees what one that was never stopped sees, whatever its global seed is."""
    common = {"input_type": input_type, "augment": "flip", "cache_bytes": cache_bytes, "seed": 5}
    tf.random.set_seed(1)
    whole = epochs(clips, 4, **common)
    tf.random.set_seed(2)
    resumed = epochs(clips, 2, first=2, **common)
    assert same(whole[len(whole) // 2 :], resumed)


@pytest.mark.parametrize("input_type, augment", [("clip", "p0"), ("frame", "p1+pad")])
def test_everything_drawn_depends_on_seed_and_epoch_only(clips, input_type, augment):
    """As above with all operations and CutMix; shapes and dtypes stay those of the network's inputs."""
    common = {
        "input_type": input_type,
        "augment": augment,
        "mix": "cutmix",
        "seed": 5,
        "class_weight": {0: 0.5, 1: 2.0},
    }
    whole, resumed = epochs(clips, 2, **common), epochs(clips, 1, first=1, **common)
    assert same(whole[len(whole) // 2 :], resumed) and not same(whole[: len(resumed)], resumed)
    assert not same(resumed, epochs(clips, 1, first=1, **common | {"seed": 6}))
    plain = epochs(clips, input_type=input_type, class_weight=common["class_weight"])[0]
    for a, b in zip(tf.nest.flatten(plain), tf.nest.flatten(whole[0]), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape


def test_single_frames_are_augmented_alike_in_groups_of_any_size(clips):
    """Batches of 16, 5 and 17 make groups of 16, 5 and 1."""
    seen = []
    for batch_size in (16, 5, 17):
        got = epochs(clips, input_type="flow", batch_size=batch_size, augment="p0", cache_bytes=0)
        seen.append([np.concatenate([b[0][name] for b in got])[:48] for name in ("frames", "flow")])
    assert same(seen[0], seen[1]) and same(seen[0], seen[2])


@pytest.mark.slow
def test_the_process_ends_while_an_augmented_data_set_is_still_being_read(data_dir):
    """Threads of TensorFlow that run Python when the interpreter ends kill it (exit 134) or hang."""
    script = f"""
import sys
from tfdeepfake.quiet import load_tensorflow
load_tensorflow()
from tfdeepfake.data.batches import pipeline
prepared = pipeline.open_data("tiny", {str(data_dir)!r})
settings = pipeline.BatchSettings(augment="p0", mix="cutmix")
endless = iter(pipeline.training_batches(prepared, "train", "frame", 32, settings, epochs=1 << 30))
for _ in range(5):
    next(endless)
sys.exit(7)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert done.returncode == 7, done.stderr


def test_an_unknown_augmentation_or_mix_is_named():
    for settings, message in (({"augment": "blur"}, "got 'blur'"), ({"mix": "mixup"}, "mix needs one of .*'mixup'")):
        with pytest.raises(ValueError, match=message):
            pipeline.BatchSettings(**settings)


@pytest.mark.parametrize("name, hosts", [("tiny", 2), ("sharded", 3)])
def test_hosts_read_parts_that_do_not_overlap_and_take_as_many_steps(data_dir, name, hosts):
    """One file for all hosts (every n-th record), and five files of three or four records (files of one's own)."""
    prepared = pipeline.open_data(name, data_dir, "clip")
    whole = {b[0]["frames"].tobytes() for b in epochs(prepared, batch_size=1)}
    steps = pipeline.steps_per_epoch(prepared, "train", "clip", 2, hosts)
    assert 0 < steps <= TRAIN // 2 // hosts
    seen, stored = [], []
    for host in range(hosts):
        got = epochs(prepared, count=3, batch_size=2, hosts=hosts, host=host)
        assert len(got) == 3 * steps
        assert same(got[2 * steps :], epochs(prepared, first=2, batch_size=2, hosts=hosts, host=host))
        seen.append({clip.tobytes() for inputs, _ in got for clip in inputs["frames"]})
        one_pass = pipeline.scoring_batches(prepared, "train", "clip", 1, hosts=hosts, host=host)
        stored += [b[0]["frames"].tobytes() for b in one_pass.as_numpy_iterator()]
    assert sum(map(len, seen)) == len(set.union(*seen)) and set.union(*seen) <= whole
    assert len(stored) == TRAIN and set(stored) == whole


@pytest.mark.parametrize("hosts", [2, 7])
def test_hosts_do_not_overlap_in_an_epoch_read_from_disk(data_dir, hosts):
    """Five files: those of one's own for two hosts, every seventh record for seven, whatever the order of the files."""
    prepared = pipeline.open_data("sharded", data_dir, "clip")
    for epoch in (0, 1):
        common = {"first": epoch, "batch_size": 2, "hosts": hosts, "cache_bytes": 0}
        got = [epochs(prepared, host=host, **common) for host in range(hosts)]
        seen = [clip.tobytes() for each in got for inputs, _ in each for clip in inputs["frames"]]
        assert len(seen) == len(set(seen)) == 2 * hosts * pipeline.steps_per_epoch(prepared, "train", "clip", 2, hosts)


@pytest.mark.parametrize(
    "input_type, settings",
    [
        ("clip", {"augment": "flip"}),
        ("clip", {"augment": "flip", "cache_bytes": 0}),
        ("frame", {"augment": "p0"}),
        ("flow", {"triplets": True}),
    ],
)
def test_parts_of_batches_are_the_batches(clips, input_type, settings):
    common = {"input_type": input_type, "batch_size": 12, "count": 2, "seed": 5} | settings
    common["class_weight"] = {0: 0.5, 1: 2.0}
    whole, *parts = (epochs(clips, **common, parts=n, part=k) for n, k in ((1, 0), (2, 0), (2, 1)))
    together = [tf.nest.map_structure(lambda *x: np.concatenate(x), *batch) for batch in zip(*parts, strict=True)]
    assert len(whole) > 1 and same(whole, together)
    with pytest.raises(ValueError, match="mix needs whole batches, got 'cutmix' in 2 parts"):
        pipeline.BatchSettings(mix="cutmix", parts=2)


def test_more_hosts_than_examples_or_an_unknown_host(clips):
    with pytest.raises(InputError, match="fewer examples in 'train' than there are hosts"):
        epochs(clips, hosts=TRAIN + 1)
    with pytest.raises(ValueError, match="host 2 of 2"):
        epochs(clips, hosts=2, host=2)


def test_a_small_shuffle_buffer_still_gives_every_example_once(clips):
    """Bytes bound the buffer: with room for one example of a batch of one, the order stays that of the file."""
    common = {"batch_size": 1, "cache_bytes": 0}
    bounded = [b[0]["frames"].tobytes() for b in epochs(clips, shuffle_bytes=1, **common)]
    stored = pipeline.scoring_batches(clips, "train", "clip", 1).as_numpy_iterator()
    assert bounded == [b[0]["frames"].tobytes() for b in stored]
    half = [b[0]["frames"].tobytes() for b in epochs(clips, shuffle_bytes=150_000, **common)]
    assert half != bounded and sorted(half) == sorted(bounded)


def test_flip_is_one_draw_for_a_clip_and_negates_u(clips):
    plain, flipped = epochs(clips, batch_size=1), epochs(clips, batch_size=1, augment="flip")
    turned = 0
    for (a, _), (b, _) in zip(plain, flipped, strict=True):
        if np.array_equal(a["frames"], b["frames"]):
            np.testing.assert_array_equal(a["flow"], b["flow"])
        else:
            turned += 1
            np.testing.assert_array_equal(a["frames"][..., ::-1, :], b["frames"])
            np.testing.assert_array_equal(a["flow"][..., ::-1, :] * [-1, 1], b["flow"])
    assert 0 < turned < len(plain)


def test_flips_differ_between_epochs(clips):
    def turned(epoch):
        pairs = zip(
            epochs(clips, first=epoch, batch_size=1),
            epochs(clips, first=epoch, batch_size=1, augment="flip"),
            strict=True,
        )
        return [not np.array_equal(a[0]["frames"], b[0]["frames"]) for a, b in pairs]

    assert turned(0) != turned(1)


def test_evaluation_keeps_the_uneven_last_batch_and_its_keys(clips):
    dataset = pipeline.scoring_batches(clips, "validation", "frame", 7, with_keys=True)
    got = list(dataset.as_numpy_iterator())
    assert [len(b[1]) for b in got] == [7, 7, 7, 7, 7, 1]
    videos = np.concatenate([b[2]["video"] for b in got])
    frames = np.concatenate([b[2]["frame"] for b in got])
    times = np.concatenate([b[2]["timestamp_s"] for b in got])
    assert len(set(videos.tolist())) == VALIDATION
    for video in set(videos.tolist()):
        base = 1000 * int(video[1:])
        assert frames[videos == video].tolist() == [base, base + 3, base + 6, base + 9]
        np.testing.assert_allclose(times[videos == video], [0, 0.04, 0.08, 0.12], atol=1e-6)
    labels = np.concatenate([b[1] for b in got])[:, 0]
    methods = np.concatenate([b[2]["method"] for b in got])
    assert ((methods == b"drawn") == (labels == 1)).all()


def test_class_weights_balance_the_classes(clips):
    assert pipeline.label_counts(clips, "train") == (6, 10)
    assert pipeline.label_counts(clips, "train", "frame") == (6 * T, 10 * T)
    weights = pipeline.balanced_weights(6, 10)
    got = epochs(clips, batch_size=4, class_weight=weights)
    labels, values = np.concatenate([b[1] for b in got])[:, 0], np.concatenate([b[2] for b in got])
    assert values[labels == 1].sum() == pytest.approx(values[labels == 0].sum())
    assert values.mean() == pytest.approx(1)


def test_with_flow_false_leaves_flow_out(clips):
    assert set(epochs(clips, with_flow=False)[0][0]) == {"frames"}


def test_a_wrong_input_type_names_the_command(data_dir):
    prepared = pipeline.open_data("noflow", data_dir)
    with pytest.raises(InputError, match="tfdeepfake prepare noflow --input-type flow --flow dis"):
        pipeline.training_batches(prepared, "train", "flow", 2)
    single = pipeline.open_data("single/frame", data_dir)
    with pytest.raises(InputError, match="tfdeepfake prepare single --input-type clip"):
        pipeline.training_batches(single, "train", "clip", 2)


def test_open_data_says_what_to_run(data_dir):
    with pytest.raises(InputError, match="not prepared.*Run: tfdeepfake prepare celeb_df"):
        pipeline.open_data("celeb_df", data_dir)
    # What no builder can prepare is no command to give.
    for wrong, near in (("singel", "single"), ("synthetic_face", "synthetic_faces")):
        with pytest.raises(InputError, match=f"not prepared.*Did you mean {near}. Prepared there: .*single") as caught:
            pipeline.open_data(wrong, data_dir)
        assert "tfdeepfake prepare" not in str(caught.value)
    with pytest.raises(InputError, match="is not prepared below .*; there is .*single/frame"):
        pipeline.open_data("single/nothing", data_dir)
    with pytest.raises(InputError, match="several ways: single/flow, single/frame"):
        pipeline.open_data("single", data_dir)
    with pytest.raises(InputError, match="cannot feed a network of input type clip that wants flow.*--flow dis"):
        pipeline.open_data("noflow", data_dir, "clip", flow=True)
    assert pipeline.open_data("single", data_dir, "frame").version == "single/frame:1.0.0"
    assert pipeline.open_data("tiny/clip:1.0.0", data_dir).recipe.num_frames == T
    with pytest.raises(InputError, match="not prepared"):
        pipeline.open_data("tiny/clip:2.0.0", data_dir)


def test_an_empty_split_is_named(clips):
    with pytest.raises(InputError, match="no examples in a split 'extra'; it has"):
        pipeline.scoring_batches(clips, "extra", "clip", 2)


@pytest.mark.parametrize("input_type", ["frame", "flow", "clip"])
@pytest.mark.parametrize("augment", ["none", "flip+noise"])
def test_parts_of_validation_batches_are_the_whole_ones(clips, input_type, augment):
    """Nine clips in batches of 4: of the last batch one part has one example, and the other none."""
    how = {"input_type": input_type, "batch_size": 4, "augment": augment, "seed": 3}
    plain = list(pipeline.scoring_batches(clips, "validation", input_type, 4).as_numpy_iterator())
    whole = [list(pipeline.validation_batches(clips, **how).as_numpy_iterator()) for _ in range(2)]
    parts = [list(pipeline.validation_batches(clips, **how, parts=2, part=n).as_numpy_iterator()) for n in (0, 1)]
    assert (
        len(plain) == len(whole[0]) == len(parts[0]) == len(parts[1]) == -(-9 * (1 if input_type == "clip" else T) // 4)
    )
    labels = pipeline.validation_labels(clips, input_type).numpy()
    np.testing.assert_array_equal(labels, np.concatenate([label for _, label in plain]))
    different = 0
    for (inputs, label), one, again, *both in zip(plain, *whole, *parts, strict=True):
        for name, x in inputs.items():
            np.testing.assert_array_equal(one[name], again[name], "each pass has the same draws")
            np.testing.assert_array_equal(one[name], np.concatenate([part[name] for part in both]))
            assert len(one[name]) == 4 and not one[name][len(label) :].any()
            if augment == "none":
                np.testing.assert_array_equal(one[name][: len(label)], x)
            different += np.mean(one[name][: len(label)] != x)
    assert (different > 0) == (augment != "none")
    other = next(iter(pipeline.validation_batches(clips, **how | {"seed": 4}).as_numpy_iterator()))
    assert (other["frames"] != whole[0][0]["frames"]).any() == (augment != "none")


def test_tensorflow_does_not_try_to_part_batches_by_hosts():
    """Two replicas of one host got a warning in every epoch, which no setting of TensorFlow hides."""
    options = prefetched(tf.data.Dataset.range(4).batch(2)).options()
    assert options.experimental_distribute.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
