"""K classes: their logits in the scores table, one logit of FAKE from them, and what is measured of each class."""

import json
import types

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import class_plot, estimates, multiclass
from tfdeepfake.evaluation.aggregation import video_scores
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring import classes as scoring_classes
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import class_logits, class_names, concatenate, select, table
from tfdeepfake.scoring.table_file import read_scores, write_scores

CLASSES = ["real", "swap", "lip sync, new", "warp"]
HEADER = "data_set,method,video,source,face,frame,timestamp_s,label,logit,status,logit_real,logit_swap"
RNG = np.random.default_rng(0)


def random_rows(num_videos=40, frames=3, classes=CLASSES, seed=0):
    rng, rows = np.random.default_rng(seed), []
    for video in range(num_videos):
        kind = video % len(classes)
        for frame in range(frames):
            logits = rng.normal(2.0 * (np.arange(len(classes)) == kind), 1.5).astype(np.float32)
            rows.append(
                {
                    "data_set": "d", "method": classes[kind] if kind else "original", "video": f"v{video}",
                    "source": f"p{video % 7}", "face": frame % 2, "frame": frame, "label": int(kind > 0),
                    "logit": scoring_classes.log_odds(logits),
                    **{f"logit_{name}": value for name, value in zip(classes, logits, strict=True)},
                }
            )  # fmt: skip
    return [*rows, {"data_set": "d", "method": "swap", "video": "empty", "label": 1, "status": "no_face"}]


def test_the_logit_of_fake_is_that_of_the_softmax():
    logits = RNG.normal(0, 4, (50, 4)).astype(np.float32)
    fake = 1 - softmax(logits.astype(np.float64), axis=1)[:, 0]
    np.testing.assert_allclose(expit(scoring_classes.log_odds(logits).astype(np.float64)), fake, rtol=1e-5)
    pair = logits[:, :2]
    np.testing.assert_allclose(scoring_classes.log_odds(pair), pair[:, 1] - pair[:, 0], rtol=1e-6)
    assert np.array_equal(scoring_classes.log_odds(logits[:, :1]), logits[:, 0])
    huge = np.float32([[1e4, -1e4, 0], [-1e4, 1e4, 9e3]])
    np.testing.assert_allclose(scoring_classes.log_odds(huge), [-1e4, 2e4])


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_class_probabilities_agree_with_the_calibrated_probability_of_fake(temperature):
    logits = RNG.normal(0, 5, (6, 3, 4)).astype(np.float32)
    got = scoring_classes.class_probabilities(logits, temperature)
    np.testing.assert_allclose(got.sum(axis=-1), 1)
    odds = np.logaddexp.reduce(logits[..., 1:].astype(np.float64), axis=-1) - logits[..., 0]
    np.testing.assert_allclose(1 - got[..., 0], expit(odds / temperature), atol=1e-12)
    if temperature == 1:
        np.testing.assert_allclose(got, softmax(logits.astype(np.float64), axis=-1), atol=1e-12)


def test_a_table_of_classes_is_written_and_read_exactly(tmp_path):
    before = table(random_rows())
    write_scores(tmp_path / "scores.csv", before)
    after = read_scores(tmp_path / "scores.csv")
    assert class_names(after) == CLASSES and list(after)[:10] == HEADER.split(",")[:10]
    for name, column in before.items():
        assert after[name].dtype == column.dtype
        assert np.array_equal(after[name], column, equal_nan=column.dtype.kind == "f"), name
    assert np.isnan(class_logits(after)[-1]).all() and np.isfinite(class_logits(after)[:-1]).all()


def test_a_table_of_classes_takes_rows_that_were_not_scored():
    unscored = table([{"video": "x", "status": "unreadable"}])
    both = concatenate([table(random_rows(4)), unscored])
    assert class_names(both) == CLASSES and np.isnan(class_logits(both)[-1]).all()
    assert len(select(both, slice(0, 2))["logit_warp"]) == 2


@pytest.mark.parametrize(
    ("header", "line", "words"),
    [
        (HEADER, "d,m,v,s,0,0,0.0,1,2.0,scored,1.0,", "finite logit of each class"),
        (HEADER, "d,m,v,s,0,0,0.0,1,2.0,scored,1.0,much", "logit_swap needs a number"),
        (HEADER, "d,m,v,s,0,0,0.0,1,2.0,scored,1.0,3.5", "not the log-odds of FAKE"),
        (HEADER, "d,m,v,s,,,,1,,no_face,1.0,", "no logit of a class, but one is given"),
        (HEADER.removesuffix(",logit_swap"), "d,m,v,s,0,0,0.0,1,2.0,scored,1.0", "need logit_real first and another"),
        (HEADER.replace("logit_real", "logit_a"), "d,m,v,s,0,0,0.0,1,2.0,scored,1.0,3.0", "need logit_real first"),
    ],
)
def test_a_bad_line_of_classes_is_named(tmp_path, header, line, words):
    (tmp_path / "scores.csv").write_text(f"{header}\n{line}\n")
    with pytest.raises(InputError, match="line 2") as error:
        read_scores(tmp_path / "scores.csv")
    assert words in str(error.value)


def test_a_network_of_classes_is_scored(monkeypatch):
    """The table has each class's logit, and a video with a logit that is not finite is an error."""
    from tfdeepfake import models
    from tfdeepfake.data.batches import pipeline

    logits = RNG.normal(size=(6, 3)).astype(np.float32)
    logits[5, 2] = np.nan
    names = np.array([f"v{n}" for n in range(6)], object)
    keys = {name: np.array([n.encode() for n in names], object) for name in ("data_set", "method", "video", "source")}
    keys |= {"face": np.zeros(6), "frame": np.arange(6), "timestamp_s": np.zeros(6)}
    batch = ({"frames": np.zeros((6, 1))}, np.zeros((6, 1)), keys)
    monkeypatch.setattr(models, "input_type", lambda model: "frame")
    monkeypatch.setattr(models, "wants_flow", lambda model: False)
    monkeypatch.setattr(pipeline, "example_count", lambda *args: 6)
    batches = types.SimpleNamespace(as_numpy_iterator=lambda: iter([batch]))
    monkeypatch.setattr(pipeline, "scoring_batches", lambda *args, **more: batches)
    data = DataRecipe(input_type="frame")
    prepared = types.SimpleNamespace(metadata={}, selection=None, version="d/frame:1.0.0", recipe=data)
    model = types.SimpleNamespace(predict_on_batch=lambda batch: logits)
    rows = score_data(model, prepared, "test", classes=CLASSES[:3])
    np.testing.assert_array_equal(class_logits(rows)[:5], logits[:5])
    np.testing.assert_allclose(rows["logit"][:5], np.logaddexp(*logits[:5, 1:].T) - logits[:5, 0], rtol=1e-5)
    assert rows["status"].tolist() == ["scored"] * 5 + ["error"] and np.isnan(class_logits(rows)[5]).all()
    with pytest.raises(ValueError, match="needs one logit"):
        score_data(model, prepared, "test")


def test_measures_are_those_of_scikit_learn():
    labels, probabilities = RNG.integers(0, 4, 200), RNG.dirichlet(np.ones(4), 200)
    got = multiclass.measure(labels, probabilities, CLASSES)
    called = probabilities.argmax(axis=1)
    assert got["confusion"] == confusion_matrix(labels, called).tolist()
    expected = precision_recall_fscore_support(labels, called)
    for metric, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        assert [entry[metric] for entry in got["per_class"].values()] == pytest.approx(values.tolist())
    assert got["macro_f1"] == pytest.approx(np.mean(expected[2])) and got["accuracy"] == np.mean(labels == called)
    assert got["macro_auc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    json.dumps(got, allow_nan=False)


def test_intervals_are_by_source():
    """Of a class those of the figure of FAKE with that class as FAKE; of fewer sources they are wider."""
    labels, probabilities = RNG.integers(0, 4, 120), RNG.dirichlet(np.ones(4), 120)
    groups = np.arange(120) // 8
    got, alone = (multiclass.measure(labels, probabilities, CLASSES, by) for by in (groups, None))
    called, entry = probabilities.argmax(axis=1), got["per_class"]["swap"]
    number = CLASSES.index("swap")
    of_fake = estimates.counted(labels == number, called == number, groups)
    for metric in ("precision", "recall", "f1"):
        assert entry["intervals"][metric] == pytest.approx(estimates.interval(of_fake[metric]))
        low, high = entry["intervals"][metric]
        assert 0 <= low < entry[metric] < high <= 1
    area = estimates.auc((labels == number).astype(int), probabilities[:, number], groups)
    assert entry["intervals"]["auc"] == pytest.approx(estimates.interval(area))
    assert got["intervals"]["accuracy"][0] < got["accuracy"] < got["intervals"]["accuracy"][1]
    assert (got["sources"], alone["sources"]) == (15, 120)
    one = multiclass.measure(labels, probabilities, CLASSES, np.zeros(120, int))["per_class"]["swap"]
    assert one["intervals"]["recall"] is None and "needs 2 sources" in one["undefined"]["interval of recall"]


def test_intervals_of_means_over_classes_are_those_of_a_bootstrap_by_source():
    """Sources resemble each other (a source has its own odds of being called right), so that clustering matters."""
    rng = np.random.default_rng(5)
    groups, labels = np.arange(480) // 8, np.arange(480) % 4
    right = rng.random(480) < rng.beta(2, 1, 60)[groups]
    probabilities = rng.dirichlet(np.ones(4), 480) + 2 * np.eye(4)[np.where(right, labels, rng.integers(0, 4, 480))]
    got = multiclass.measure(labels, probabilities / 3, CLASSES, groups)
    draws = []
    for _ in range(300):
        rows = (rng.integers(0, 60, 60)[:, None] * 8 + np.arange(8)).ravel()
        of_draw = precision_recall_fscore_support(labels[rows], probabilities[rows].argmax(axis=1), average="macro")
        draws.append([*of_draw[:3], roc_auc_score(labels[rows], probabilities[rows] / 3, multi_class="ovr")])
    for metric, values in zip(("precision", "recall", "f1", "auc"), np.transpose(draws), strict=True):
        # The ends of 300 draws are sure to about a tenth of the interval's width.
        expected, low_high = np.percentile(values, [2.5, 97.5]), got["intervals"][f"macro_{metric}"]
        np.testing.assert_allclose(low_high, expected, atol=0.15 * np.ptp(expected))
        assert low_high[0] < got[f"macro_{metric}"] < low_high[1]
    alone = multiclass.measure(labels, probabilities / 3, CLASSES)["intervals"]["macro_f1"]
    assert np.ptp(alone) < 0.85 * np.ptp(got["intervals"]["macro_f1"])


def test_a_mean_over_classes_has_no_interval_where_a_class_has_none():
    labels, probabilities = np.array([0, 0, 1, 1, 2, 2]), np.eye(3)[[0, 1, 1, 0, 2, 2]]
    got = multiclass.measure(labels, probabilities, CLASSES[:3], np.array([0, 1, 0, 1, 2, 2]))
    assert got["macro_recall"] == pytest.approx(2 / 3) and got["intervals"]["macro_recall"] is None
    assert "mean of classes" in "".join(multiclass.format_classes(got | {"other_methods": {}}))


def test_a_class_without_videos_is_undefined_with_the_reason_and_never_zero():
    labels, probabilities = RNG.integers(0, 2, 20), np.full((20, 4), 0.2)
    probabilities[:5, 2] = 0.4  # called so, although there is none
    probabilities[5:, 0] = 0.4
    got = multiclass.measure(labels, probabilities, CLASSES)
    absent, uncalled = got["per_class"]["lip sync, new"], got["per_class"]["swap"]
    assert absent["called"] == 5 and absent["undefined"] == dict.fromkeys(
        ("precision", "recall", "f1", "auc"), "no video of this class was scored"
    )
    assert [absent[m] for m in ("precision", "recall", "f1", "auc")] == [None] * 4
    assert uncalled["precision"] is None and uncalled["undefined"]["precision"] == "nothing was called so"
    assert uncalled["recall"] == 0 and uncalled["f1"] == 0, "videos of it were there, and none was recognised"
    assert got["classes_with_items"] == 2
    nothing = multiclass.measure(np.zeros(0, int), np.zeros((0, 4)), CLASSES)
    assert nothing["accuracy"] is None and nothing["macro_f1"] is None


def test_a_videos_classes_are_those_of_the_face_that_decides_it():
    rows = table(random_rows())
    got, videos = multiclass.video_probabilities(rows, 1.7), video_scores(rows, temperature=1.7)
    scored = videos["status"] == "scored"
    np.testing.assert_allclose(1 - got[scored, 0], videos["score"][scored], atol=1e-12)
    assert np.isnan(got[~scored]).all() and (~scored).sum() == 1
    first = (rows["video"] == "v5") & (rows["face"] == videos["face"][5])
    expected = scoring_classes.class_probabilities(class_logits(rows)[first], 1.7).mean(axis=0)
    np.testing.assert_allclose(got[5], expected)


def test_an_evaluation_of_classes_has_both_the_binary_figures_and_those_of_each_class(tmp_path):
    rows = random_rows()
    rows += [row | {"method": "unknown", "video": "other"} for row in rows[3:6]]
    report = evaluate(table(rows), resamples=20)
    section = report["classes"]
    assert section["n"] == 40 and sum(map(sum, section["confusion"])) == 40
    assert section["other_methods"] == {"unknown": 1} and report["levels"]["video"]["n"] == 41
    text = format_metrics(report)
    assert "lip sync, new" in text and "does not know, left out here: unknown 1." in text
    assert text.count(f"{section['per_class']['warp']['f1']:.3f}") >= 1
    class_plot.class_confusion(tmp_path / "classes.png", section, "d, test")
    assert (tmp_path / "classes.png").read_bytes()[:4] == b"\x89PNG"
    assert "classes" not in evaluate(table(random_rows(classes=["real", "fake"])), resamples=0)


def test_what_is_no_detector_is_refused():
    assert scoring_classes.check_detector("n", 1, None) is None
    assert scoring_classes.check_detector("n", 2, ["real", "fake"]) == ["real", "fake"]
    for outputs, names, words in (
        (3, None, "3 classes, which its recipe does not name"),
        (2, ["cat", "dog"], "the first is 'cat'"),
        (2, ["real", "a", "b"], "gives 2 outputs, the recipe names"),
    ):
        with pytest.raises(InputError, match=words):
            scoring_classes.check_detector("n", outputs, names)


def test_a_mean_that_classes_have_no_part_in_says_of_how_many_it_is():
    """A class that nothing was called has no precision: a mean of the others flatters, and is told as such."""
    labels, probabilities = np.array([0, 0, 1, 1, 2, 2]), np.eye(3)[[0, 0, 1, 1, 1, 0]]
    got = multiclass.measure(labels, probabilities, CLASSES[:3])
    assert got["macro_precision"] == pytest.approx(2 / 3)
    assert multiclass.averaged_over(got, "precision") == " (2 of 3 classes)"
    assert multiclass.averaged_over(got, "recall") == ""
    lines = multiclass.format_classes(got | {"other_methods": {}})
    (means,) = (line for line in lines if line.startswith("mean of classes"))
    assert means.count("classes)") == 1 and "] (2 of 3 classes)" in means
