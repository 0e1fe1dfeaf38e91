"""Verdicts of networks of K classes: P1's pair gives an ordinary one, methods stand beside it."""

import dataclasses

import keras
import numpy as np
import pytest
from support.verdicts import SIZE, brightness_network, example, no_detector, pretend, recipe

from tfdeepfake.scoring.table import class_names
from tfdeepfake.scoring.table_file import read_scores
from tfdeepfake.verdict.batch import Network, judge_many
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.lines import line

CLASSES = ["real", "swap <b>", "lips"]


def network(*offsets):
    """Logits: 0 of real, and of each method that of `brightness_network` plus an offset."""
    frames = keras.Input((SIZE, SIZE, 3), name="frames")
    logit = keras.ops.mean(frames / 255.0, (1, 2, 3))[:, None] * 10 - 5
    return keras.Model({"frames": frames}, keras.ops.concatenate([0 * logit, *(logit + o for o in offsets)], axis=1))


def of_classes(names, **fields):
    return dataclasses.replace(recipe(**fields), classes=list(names))


METHODS = network(1.0, -0.5)


def judged(model, used, values=(0.6, 0.9)):
    examples = [example(value, frame=10 * n) for n, value in enumerate(values)]
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch, examples)
        return judge("a.mp4", model, used, no_detector)


def test_the_softmax_pair_gives_the_verdict_of_one_logit():
    pair, one = judged(network(0.0), of_classes(["real", "fake"])), judged(brightness_network(), recipe())
    assert pair.probability == pytest.approx(one.probability, abs=1e-6) and pair.label == one.label
    assert pair.classes is None and pair.faces[0]["classes"] is None
    assert line(pair.to_dict()) == line(one.to_dict())
    assert [p["logit"] for p in pair.faces[0]["timeline"]] == pytest.approx(
        [p["class_logits"]["fake"] for p in pair.faces[0]["timeline"]]
    )


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_methods_stand_beside_the_verdict_and_agree_with_it(temperature):
    verdict = judged(METHODS, of_classes(CLASSES, temperature=temperature))
    face = verdict.faces[0]
    assert list(face["classes"]) == CLASSES and sum(face["classes"].values()) == pytest.approx(1)
    assert 1 - face["classes"]["real"] == pytest.approx(verdict.probability) and verdict.classes == face["classes"]
    share = face["classes"]["swap <b>"] / (face["classes"]["swap <b>"] + face["classes"]["lips"])
    assert share == pytest.approx(1 / (1 + np.exp(-1.5)))
    for point in face["timeline"]:
        values = list(point["class_logits"].values())
        assert point["logit"] == pytest.approx(np.logaddexp(*values[1:]) - values[0], abs=1e-5)


def test_the_line_names_the_most_probable_method_of_a_fake_only():
    fake, real = (judged(METHODS, of_classes(CLASSES), values) for values in ((0.9, 0.95), (0.05, 0.1)))
    assert fake.label == "FAKE" and f"most like swap <b> ({fake.classes['swap <b>']:.2f})" in line(fake.to_dict())
    assert real.label == "REAL" and "most like" not in line(real.to_dict())


def test_the_logits_of_methods_are_in_the_table_and_on_the_page(tmp_path, monkeypatch):
    files = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for file in files:
        file.write_bytes(b"x")
    pretend(monkeypatch, [example(0.9), example(0.8, frame=20)])
    loaded = Network(tmp_path, METHODS, of_classes(CLASSES), no_detector, "mtcnn", "mtcnn")
    judge_many(files, loaded, tmp_path / "out")
    scores = read_scores(tmp_path / "out" / "scores.csv")
    assert class_names(scores) == CLASSES and len(scores["logit"]) == 4
    page = (tmp_path / "out" / "index.html").read_text()
    assert "swap &lt;b&gt;" in page and "swap <b>" not in page and '<ul class="methods">' in page


def test_the_compiled_form_gives_the_logits_of_all_classes():
    from tfdeepfake.compiled.convert import convert
    from tfdeepfake.compiled.folder import CompiledModel

    compiled = CompiledModel(convert(METHODS), "methods")
    frames = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    assert compiled.outputs[0].shape == (None, 3)
    np.testing.assert_allclose(
        compiled.predict_on_batch({"frames": frames}), METHODS.predict_on_batch({"frames": frames}), atol=1e-4
    )
    np.testing.assert_allclose(
        judged(compiled, of_classes(CLASSES)).probability, judged(METHODS, of_classes(CLASSES)).probability, atol=1e-5
    )
