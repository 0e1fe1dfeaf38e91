"""The scores table: what is written is read back exactly, and what cannot be right is refused by file and line."""

import types

import numpy as np
import pytest

from tfdeepfake.errors import InputError
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import table
from tfdeepfake.scoring.table_file import read_scores, write_scores

HEADER = "data_set,method,video,source,face,frame,timestamp_s,label,logit,status"
GOOD = "ff,Deepfakes,071_054,071,0,0,0.0,1,2.5,scored"


def write(tmp_path, *lines, header=HEADER):
    path = tmp_path / "scores.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def random_rows(count=500, seed=0):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, 4 * count, dtype=np.uint32).view(np.float32)  # every exponent, denormals too
    logits = bits[np.isfinite(bits)][:count]
    return [
        {
            "data_set": "d", "method": f"m{i % 3}", "video": f"clip {i % 7}, „ü\".mp4", "source": f"id{i % 7}",
            "face": i % 2, "frame": i, "timestamp_s": i / 29.97, "label": i % 3 % 2, "logit": logits[i],
        }
        for i in range(count)
    ] + [{"data_set": "d", "method": "m0", "video": "empty.mp4", "label": 0, "status": "no_face"}]  # fmt: skip


def test_round_trip_is_exact(tmp_path):
    before = table(random_rows())
    write_scores(tmp_path / "new" / "scores.csv", before)
    after = read_scores(tmp_path / "new" / "scores.csv")
    assert list(after) == HEADER.split(",")
    for name, column in before.items():
        assert after[name].dtype == column.dtype, name
        assert np.array_equal(after[name], column, equal_nan=column.dtype.kind == "f"), name
    assert after["logit"].tobytes() == before["logit"].tobytes()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["scores.csv"]  # nothing temporary is left


def test_list_of_dicts_and_table_write_the_same_file(tmp_path):
    rows = random_rows(20)
    write_scores(tmp_path / "a.csv", rows)
    write_scores(tmp_path / "b.csv", table(rows))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()[-1] == "d,m0,empty.mp4,,,,,0,,no_face"


@pytest.mark.parametrize(
    "line, words",
    [
        ("ff,Deepfakes,1,1,0,0,0.0,1,high,scored", "logit needs a number"),
        ("ff,Deepfakes,1,1,0,0,0.0,1,nan,scored", "finite logit"),
        ("ff,Deepfakes,1,1,0,0,0.0,1,1e300,scored", "finite logit"),
        ("ff,Deepfakes,1,1,0,0,0.0,1,,scored", "finite logit"),
        ("ff,Deepfakes,1,1,0,0,0.0,2,1.0,scored", "label needs 0"),
        ("ff,Deepfakes,1,1,0,0,0.0,fake,1.0,scored", "label needs 0"),
        ("ff,Deepfakes,1,1,0,-1,0.0,1,1.0,scored", "frame needs a whole number"),
        ("ff,Deepfakes,1,1,0.5,0,0.0,1,1.0,scored", "face needs a whole number"),
        ("ff,Deepfakes,1,1,,0,0.0,1,1.0,scored", "needs a face and a frame"),
        ("ff,Deepfakes,1,1,0,0,0.0,1,1.0,fine", "status needs one of"),
        ("ff,Deepfakes,1,1,,,,1,0.5,no_face", "has no face, frame or logit"),
        ("ff,Deepfakes,,1,0,0,0.0,1,1.0,scored", "video is empty"),
        ("ff,Deepfakes,1,1,0,0,0.0,1,1.0", "needs 10 cells, got 9"),
        ("ff,Deepfakes,071_054,071,0,0,9.0,1,-1.0,scored", "stands here twice"),
        ("ff,Deepfakes,071_054,071,0,8,0.3,0,-1.0,scored", "two labels: 1 and 0"),
        ("ff,Deepfakes,071_054,071,0,8,0.3,,-1.0,scored", "two labels: 1 and no label"),
        ("ff,Deepfakes,071_054,054,0,8,0.3,1,-1.0,scored", "two sources"),
        ("ff,Deepfakes,071_054,071,,,,1,,no_face", "'no_face' here and 'scored' above"),
    ],
)
def test_bad_line_is_named(tmp_path, line, words):
    path = write(tmp_path, GOOD, "", line)  # the empty line is passed over but counted
    with pytest.raises(InputError) as error:
        read_scores(path)
    assert str(path) in str(error.value) and "line 4" in str(error.value) and words in str(error.value)


def test_line_is_named_behind_cells_that_go_over_lines_and_far_down(tmp_path):
    rows = [GOOD.replace(",0,0,", f",0,{frame},") for frame in range(2500)]
    rows[7] = rows[7].replace("ff,Deepfakes,071_054", '"f\nf",Deepfakes,"071\r\n_054"')
    path = write(tmp_path, *rows[:1500], "", *rows[1500:])
    columns = read_scores(path)
    assert columns["frame"].tolist() == list(range(2500)) and columns["video"][7] == "071\r\n_054"
    rows[2400] = rows[2400].replace("2.5", "high")
    with pytest.raises(InputError, match="line 2405: logit needs a number or nothing, got 'high'"):
        read_scores(write(tmp_path, *rows[:1500], "", *rows[1500:]))


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "misses the columns"),
        (HEADER.replace(",label", "").encode(), "misses the columns ['label']"),
        (HEADER.encode() + b"\n", "has no rows"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a CSV file in UTF-8"),
        (HEADER.encode() + b'\nff,"open quote,1', "not a CSV file"),
    ],
)
def test_bad_file_is_named(tmp_path, content, words):
    path = tmp_path / "scores.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_scores(path)
    assert str(path) in str(error.value) and words in str(error.value)


def test_missing_file_and_folder_in_its_place(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_scores(tmp_path / "scores.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_scores(tmp_path)


def test_same_file_name_in_four_methods_is_four_videos(tmp_path):
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    path = write(tmp_path, *(GOOD.replace("Deepfakes", m) for m in methods))
    assert len(read_scores(path)["video"]) == 4  # no duplicate: the method is part of the key


def test_writing_refuses_what_reading_would_refuse(tmp_path):
    twice = random_rows(5) + random_rows(5)[:1]
    with pytest.raises(ValueError, match="stands here twice"):
        write_scores(tmp_path / "scores.csv", twice)
    assert not (tmp_path / "scores.csv").exists()


# Scoring prepared data ----------------------------------------------------------------------------------------------


@pytest.fixture
def fake_pipeline(monkeypatch):
    """Stands for `data.batches.pipeline`: batches from arrays, so that these tests need no prepared data set."""
    import contextlib

    from tfdeepfake import models
    from tfdeepfake.data.batches import pipeline

    def scoring_batches(prepared, split, input_type, batch_size, with_keys, with_flow):
        assert (input_type, with_keys, with_flow) == (prepared.kind, True, prepared.kind == "flow")
        count = len(prepared.label)

        def produce():
            for start in range(0, count, batch_size):
                part = slice(start, start + batch_size)
                keys = {name: column[part] for name, column in prepared.keys.items()}
                yield {"frames": prepared.frames[part]}, prepared.label[part, None].astype(np.float32), keys

        return types.SimpleNamespace(as_numpy_iterator=produce)

    monkeypatch.setattr(pipeline, "scoring_batches", scoring_batches)
    monkeypatch.setattr(pipeline, "example_count", lambda prepared, split, input_type: len(prepared.label))
    monkeypatch.setattr(pipeline, "reading", lambda prepared, split: contextlib.nullcontext())
    monkeypatch.setattr(models, "input_type", lambda model: model.kind)
    monkeypatch.setattr(models, "wants_flow", lambda model: model.kind == "flow")


def prepared_data(kind, videos=5, frames=3, coverage=None, seed=0):
    rng = np.random.default_rng(seed)
    count = videos * frames
    video = np.repeat(np.arange(videos), frames)
    return types.SimpleNamespace(
        kind=kind,
        recipe=DataRecipe(input_type="frame"),
        version="toy/clip:1.0.0",
        selection=None,
        metadata={"coverage": {"test": coverage or {}}},
        frames=rng.integers(0, 256, (count, 2, 4, 4, 3) if kind == "clip" else (count, 4, 4, 3), dtype=np.uint8),
        label=video % 2,
        keys={
            "data_set": np.array([b"toy"] * count, object),
            "method": np.array([b"swap" if v % 2 else b"original" for v in video], object),
            "video": np.array([f"v{v}ü".encode() for v in video], object),
            "source": np.array([f"id{v}".encode() for v in video], object),
            "face": np.zeros(count, np.int32),
            "frame": np.tile(np.arange(frames) * 8, videos).astype(np.int64),
            "timestamp_s": np.tile(np.arange(frames) * 0.32, videos).astype(np.float32),
        },
    )


def network(kind):
    """Logit = mean brightness - 127, so that the right score of every row is known."""
    seen = []

    def predict_on_batch(inputs):
        seen.append(len(inputs["frames"]))
        mean = inputs["frames"].astype(np.float32).reshape(len(inputs["frames"]), -1).mean(1, keepdims=True)
        return mean - 127

    return types.SimpleNamespace(kind=kind, predict_on_batch=predict_on_batch, seen=seen)


@pytest.mark.parametrize("kind", ["frame", "flow", "clip"])
def test_every_example_is_scored_and_every_video_counted(fake_pipeline, tmp_path, kind):
    coverage = {
        "videos": 9,
        "scored": 5,
        "no_face": [{"method": "original", "video": "back of a head.mp4", "source": "id8", "label": 0}],
        "unreadable": [["broken.mp4", "the file is empty"]],
        "too_short": ["blink.mp4", "wink.mp4"],
    }
    prepared, model = prepared_data(kind, coverage=coverage), network(kind)
    rows = score_data(model, prepared, "test", batch_size=4)
    assert model.seen == [4, 4, 4, 3]  # the uneven last batch is not dropped
    scored = rows["status"] == "scored"
    expected = prepared.frames.reshape(15, -1).astype(np.float32).mean(1) - 127
    assert np.array_equal(rows["logit"][scored], expected)
    assert set(rows["video"]) == {f"v{v}ü" for v in range(5)} | {
        "back of a head.mp4", "broken.mp4", "blink.mp4", "wink.mp4",
    }  # fmt: skip
    assert rows["status"][~scored].tolist() == ["no_face", "unreadable", "error", "error"]
    assert rows["label"][~scored].tolist() == [0, -1, -1, -1]
    write_scores(tmp_path / "scores.csv", rows)  # and the table is a lawful one
    assert np.array_equal(read_scores(tmp_path / "scores.csv")["logit"], rows["logit"], equal_nan=True)


def test_frame_met_twice_counts_once(fake_pipeline):
    prepared = prepared_data("frame")
    prepared.keys["frame"][1] = 0  # two clips of the first video overlap
    rows = score_data(network("frame"), prepared, "test", batch_size=4)
    assert len(rows["frame"]) == 14
    assert rows["frame"][:3].tolist() == [0, 16, 0]


def test_video_with_a_logit_that_is_not_finite_is_an_error_not_a_score(fake_pipeline):
    prepared, model = prepared_data("frame"), network("frame")
    honest = model.predict_on_batch

    def broken(inputs):
        logit = honest(inputs)
        logit[0] = np.nan if len(model.seen) == 1 else logit[0]
        return logit

    model.predict_on_batch = broken
    rows = score_data(model, prepared, "test", batch_size=4)
    assert rows["status"].tolist() == ["scored"] * 12 + ["error"]
    assert rows["video"][-1] == "v0ü" and rows["frame"][-1] == -1 and rows["label"][-1] == 0


def test_network_with_several_outputs_is_refused(fake_pipeline):
    model = network("frame")
    one = model.predict_on_batch
    model.predict_on_batch = lambda inputs: np.repeat(one(inputs), 3, axis=1)
    with pytest.raises(ValueError, match=r"needs one logit per example, \[4, 1\], got \(4, 3\)"):
        score_data(model, prepared_data("frame"), "test", batch_size=4)
