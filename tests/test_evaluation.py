"""Metrics, aggregation, intervals and calibration, checked against facts and against brute force."""

import json
import shlex

import numpy as np
import pytest
from scipy.special import expit, logit
from support.prepared import write_prepared

from tfdeepfake.cli.main import main, parser
from tfdeepfake.errors import InputError
from tfdeepfake.evaluation import calibration, metrics, plots
from tfdeepfake.evaluation.aggregation import face_scores, video_scores
from tfdeepfake.evaluation.calibration import calibrate
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.run import differing_fields, evaluate_run
from tfdeepfake.evaluation.score_file import evaluate_file
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.model_folder import copy_model
from tfdeepfake.recipe import DataRecipe
from tfdeepfake.scoring.score import score_data
from tfdeepfake.scoring.table import concatenate, select, table
from tfdeepfake.scoring.table_file import read_scores, write_scores


def draw(n=200, seed=0, gap=1.0, ties=False):
    """Labels and probabilities that overlap; with many ties when asked for."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = expit(rng.normal(gap * (2 * labels - 1), 1.5))
    return labels, np.round(scores, 1) if ties else scores


def make_rows(videos=40, frames=6, sources=10, seed=0, unscored=0, gap=1.0):
    """A table in which frames of a video and videos of a source resemble each other."""
    rng = np.random.default_rng(seed)
    mood, rows = rng.normal(0, 1.0, sources), []
    for v in range(videos):
        fake, source = int(rng.random() < 0.5), int(rng.integers(sources))
        middle = gap * (2 * fake - 1) + mood[source] + rng.normal()
        for t in range(frames):
            rows.append(
                {
                    "data_set": "d", "method": "swap" if fake else "original", "video": f"{v}", "source": f"id{source}",
                    "face": 0, "frame": t, "label": fake, "logit": middle + rng.normal(),
                }
            )  # fmt: skip
    for v in range(unscored):
        rows.append({"data_set": "d", "method": "swap", "video": f"none{v}", "label": 1, "status": "no_face"})
    return table(rows)


def row(video="v", method="m", face=0, frame=0, label=1, probability=0.5, data_set="d", source="", status="scored"):
    return {
        "data_set": data_set, "method": method, "video": video, "source": source, "label": label, "status": status,
        **({"face": face, "frame": frame, "logit": logit(probability)} if status == "scored" else {}),
    }  # fmt: skip


# Metrics ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_fraction_of_pairs_in_order(ties):
    labels, scores = draw(ties=ties)
    fakes, reals = scores[labels == 1][:, None], scores[labels == 0][None]
    pairs = np.mean((fakes > reals) + 0.5 * (fakes == reals))
    assert metrics.measure(labels, scores, 0.5)["auc"] == pytest.approx(pairs, abs=1e-12)


def test_ranking_metrics_ignore_monotone_rescaling():
    labels, scores = draw()
    plain, bent = metrics.measure(labels, scores, 0.5), metrics.measure(labels, scores**7, 0.5**7)
    for name in ("auc", "average_precision", "eer", "accuracy", "f1", "confusion", "tpr_at_fpr"):
        assert plain[name] == pytest.approx(bent[name], abs=1e-12), name
    assert plain["log_loss"] != pytest.approx(bent["log_loss"])  # and this one must not


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_eer_against_a_sweep_of_all_thresholds(seed, ties):
    labels, scores = draw(n=60, seed=seed, ties=ties)
    eer = metrics.equal_error_rate(labels, scores)
    cuts = np.concatenate([[-1], np.unique(scores), [2]])
    alarm = np.array([np.mean(scores[labels == 0] >= cut) for cut in cuts])
    missed = np.array([np.mean(scores[labels == 1] < cut) for cut in cuts])
    # The rates cross between two neighbouring thresholds: the EER lies between their errors there.
    after = int(np.argmax(missed >= alarm))
    low = max(alarm[after], missed[after - 1])
    high = min(alarm[after - 1], missed[after])
    assert low - 1e-12 <= eer <= high + 1e-12
    # On the straight line between the two points both rates are the same number.
    part = (alarm[after - 1] - eer) / (alarm[after - 1] - alarm[after] or 1)
    if alarm[after - 1] != alarm[after]:
        assert missed[after - 1] + part * (missed[after] - missed[after - 1]) == pytest.approx(eer, abs=1e-12)


def test_metrics_against_their_formulas():
    labels, p = draw()
    measured = metrics.measure(labels, p, 0.4)
    called = p >= 0.4
    tp, fp = np.sum(called & (labels == 1)), np.sum(called & (labels == 0))
    assert measured["confusion"]["true_fake"] == tp and measured["confusion"]["false_fake"] == fp
    assert sum(measured["confusion"].values()) == measured["n"] == 200
    assert measured["precision"] == pytest.approx(tp / (tp + fp))
    assert measured["recall"] == pytest.approx(tp / labels.sum())
    assert measured["f1"] == pytest.approx(2 / (1 / measured["precision"] + 1 / measured["recall"]))
    assert measured["accuracy"] == pytest.approx(np.mean(called == labels))
    assert measured["log_loss"] == pytest.approx(-np.mean(np.log(np.where(labels == 1, p, 1 - p))))
    assert measured["brier"] == pytest.approx(np.mean((labels - p) ** 2))
    best = max(np.mean(p[labels == 1] >= cut) for cut in np.append(p, 2) if np.mean(p[labels == 0] >= cut) <= 0.1)
    assert measured["tpr_at_fpr"]["0.10"] == pytest.approx(best)


def test_calibration_error_of_honest_and_of_boasting_probabilities():
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    labels = (rng.random(len(p)) < p).astype(int)
    assert metrics.calibration_error(labels, p) < 0.01
    # Half of these "sure" calls are wrong: off by 0.5 everywhere.
    assert metrics.calibration_error(np.tile([0, 1], 50), np.ones(100)) == pytest.approx(0.5)


def test_perfect_reversed_and_constant_classifiers():
    labels = np.array([0] * 10 + [1] * 10)
    perfect = metrics.measure(labels, labels * 0.8 + 0.1, 0.5)
    assert (perfect["auc"], perfect["eer"], perfect["accuracy"], perfect["f1"]) == (1, 0, 1, 1)
    wrong = metrics.measure(labels, 0.9 - labels * 0.8, 0.5)
    assert (wrong["auc"], wrong["eer"], wrong["accuracy"], wrong["f1"]) == (0, 1, 0, 0)
    constant = metrics.measure(labels, np.full(20, 0.3), 0.5)
    assert (constant["auc"], constant["eer"]) == (0.5, 0.5)
    assert constant["precision"] is None and "nothing was called FAKE" in constant["undefined"]["precision"]


def test_sure_and_wrong_costs_a_finite_log_loss():
    measured = metrics.measure(np.array([0, 1]), np.array([1.0, 1.0]), 0.5)
    assert 17 < measured["log_loss"] < 19  # half of -log(2.2e-16)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_auc_and_says_why(label):
    rows = make_rows()
    report = evaluate(select(rows, rows["label"] == label), resamples=50)
    for name, level in report["levels"].items():
        # Precision of fakes alone would be 1 and of reals alone 0, whatever the network does.
        for metric in ("auc", "average_precision", "eer", "balanced_accuracy", "precision", "f1"):
            assert level[metric] is None, (name, metric)
            assert level["intervals"].get(metric) is None
            assert "needs both classes" in level["undefined"][metric]
        assert level["accuracy"] is not None and level["intervals"]["auc"] is None
    json.dumps(report, allow_nan=False)
    assert "needs both classes" in format_metrics(report)


def test_low_false_positive_rates_need_enough_reals():
    labels, scores = draw(n=150)
    measured = metrics.measure(labels, scores, 0.5)
    assert measured["tpr_at_fpr"]["0.01"] is None and measured["tpr_at_fpr"]["0.10"] is not None
    assert "needs 100 reals" in measured["undefined"]["tpr_at_fpr 0.01"]


def test_nothing_scored_is_a_result_not_a_crash():
    rows = table([row(str(i), status="no_face") for i in range(3)])
    report = evaluate(rows)
    json.dumps(report, allow_nan=False)
    video = report["levels"]["video"]
    assert video["accuracy"] is None and video["log_loss"] is None and video["undefined"]["auc"] == "no scored item"
    assert video["accuracy_counting_unscored_as_wrong"] == 0
    assert "Scored 0 of 3 videos" in format_metrics(report)


# From frames to videos ----------------------------------------------------------------------------------------------


def test_video_is_the_mean_of_frames_and_the_maximum_of_faces():
    frames = [(0, 0.1), (0, 0.5), (1, 0.6), (1, 0.9), (1, 0.9), (2, 0.7)]
    rows = table([row(face=f, frame=i, probability=p) for i, (f, p) in enumerate(frames)])
    videos = video_scores(rows)
    assert videos["score"] == pytest.approx([0.8], abs=1e-6) and videos["face"].tolist() == [1]
    assert videos["faces"].tolist() == [3] and videos["frames"].tolist() == [3]
    assert video_scores(rows, "fraction")["score"].tolist() == [1.0]
    assert face_scores(rows)["score"] == pytest.approx([0.3, 0.8, 0.7], abs=1e-6)
    assert face_scores(rows, "fraction")["score"].tolist() == [0.5, 1.0, 1.0]


def test_aggregation_ignores_the_order_of_rows():
    rows = make_rows(unscored=3)
    order = np.random.default_rng(1).permutation(len(rows["video"]))
    mixed = select(rows, order)
    a, b = video_scores(rows), video_scores(mixed)
    by_name = dict(zip(b["video"], b["score"], strict=True))
    assert [by_name[v] for v in a["video"]] == pytest.approx(a["score"].tolist(), nan_ok=True, abs=1e-12)


def test_temperature_moves_probabilities_but_not_fractions_and_not_half():
    rows = make_rows()
    plain, warm = video_scores(rows), video_scores(rows, temperature=3.0)
    assert np.abs(warm["score"] - 0.5).mean() < np.abs(plain["score"] - 0.5).mean()
    fractions = [video_scores(rows, "fraction", t)["score"] for t in (1.0, 3.0)]
    assert np.array_equal(*fractions)
    with pytest.raises(ValueError, match="temperature needs to be above 0, got 0"):
        video_scores(rows, temperature=0)
    with pytest.raises(ValueError, match="rule needs one of"):
        video_scores(rows, "median")


def test_videos_of_four_methods_with_one_file_name_stay_four():
    """Merged by name alone, good and bad methods of a pair would average into one video (0.913 for 0.854)."""
    methods = {"Deepfakes": 0.9, "Face2Face": 0.2, "FaceSwap": 0.8, "NeuralTextures": 0.1}
    rows = []
    for pair in range(6):
        name = f"{pair:03d}_{pair + 1:03d}.mp4"
        rows += [row(name, m, frame=t, probability=p, data_set="ff") for m, p in methods.items() for t in range(3)]
        rows += [row(f"{pair:03d}.mp4", "youtube", frame=t, label=0, probability=0.3, data_set="ff") for t in range(3)]
    rows.append(row("000_001.mp4", "Deepfakes", probability=0.9, data_set="another"))  # nor across data sets
    report = evaluate(table(rows), resamples=0)
    assert report["levels"]["video"]["n"] == 6 * 5 + 1
    ff = evaluate(table(rows[:-1]), resamples=0)
    assert ff["levels"]["video"]["auc"] == pytest.approx(0.5)  # two methods of four are above every real
    assert {m: v["auc"] for m, v in ff["methods"].items()} == {
        "Deepfakes": 1.0, "Face2Face": 0.0, "FaceSwap": 1.0, "NeuralTextures": 0.0,
    }  # fmt: skip
    assert all(v["n_real"] == 6 and v["n_fake"] == 6 for v in ff["methods"].values())
    assert set(report["methods"]) == {f"ff/{m}" for m in methods} | {"another/Deepfakes"}


def test_unscored_videos_are_counted_never_scored():
    rows = make_rows(videos=40, unscored=10)
    report = evaluate(rows, resamples=20)
    bare = evaluate(make_rows(videos=40), resamples=20)
    video = report["levels"]["video"]
    assert report["coverage"] == {
        "videos": 50, "scored": 40, "no_face": 10, "unreadable": 0, "error": 0, "fraction_scored": 0.8,
        "scored_without_label": 0,
    }  # fmt: skip
    assert all(level["coverage"] == {"scored": 40, "videos": 50} for level in report["levels"].values())
    assert report["methods"]["swap"]["coverage"] == {"scored": 40, "videos": 50}
    for name in ("auc", "accuracy", "log_loss", "confusion"):
        assert video[name] == bare["levels"]["video"][name]
    assert video["accuracy_counting_unscored_as_wrong"] == pytest.approx(0.8 * video["accuracy"])
    assert np.isnan(video_scores(rows)["score"][-10:]).all()


def test_scored_videos_without_label_are_left_out_and_said_so():
    rows = make_rows(videos=20)
    for name, value in (("label", -1), ("video", "stranger")):
        rows[name] = rows[name].copy()
        rows[name][:6] = value
    report = evaluate(rows, resamples=0)
    assert report["levels"]["video"]["n"] == 19 and report["coverage"]["scored_without_label"] == 1
    assert "1 scored videos have no label" in format_metrics(report)


# Intervals ----------------------------------------------------------------------------------------------------------


def test_bootstrap_auc_equals_scikit_learn_with_the_same_weights():
    from sklearn.metrics import roc_auc_score

    labels, scores = draw(n=80, ties=True)
    groups = np.random.default_rng(1).integers(0, 12, 80)
    counts = np.concatenate(list(metrics.resampled_groups(12, 5, seed=3, items=80)))
    assert counts.sum(1).tolist() == [12] * 5
    expected = [roc_auc_score(labels, scores, sample_weight=c[groups]) for c in counts]
    assert metrics.weighted_auc(labels, scores, groups)(counts) == pytest.approx(expected, abs=1e-12)


def test_interval_is_seeded_and_holds_the_figure():
    labels, scores = draw()
    groups = np.arange(200)
    first, _ = metrics.intervals(labels, scores, groups, 0.5, seed=1)
    again, _ = metrics.intervals(labels, scores, groups, 0.5, seed=1)
    other, _ = metrics.intervals(labels, scores, groups, 0.5, seed=2)
    assert first == again != other
    measured = metrics.measure(labels, scores, 0.5)
    for name, (low, high) in first.items():
        assert low < measured[name] < high, name


def test_blocks_do_not_change_the_draw(monkeypatch):
    labels, scores = draw()
    groups = np.arange(200) // 4
    whole, _ = metrics.intervals(labels, scores, groups, 0.5, resamples=100)
    monkeypatch.setattr(metrics, "_BLOCK", 1000)
    pieces, _ = metrics.intervals(labels, scores, groups, 0.5, resamples=100)
    assert whole == pieces


def test_resampling_by_source_widens_the_interval():
    rows = make_rows(videos=120, frames=10, sources=12)
    labels, scores = rows["label"].astype(int), expit(rows["logit"].astype(float))
    _, source = np.unique(rows["source"], return_inverse=True)
    by_source, _ = metrics.intervals(labels, scores, source, 0.5)
    by_frame, _ = metrics.intervals(labels, scores, np.arange(len(labels)), 0.5)
    for name in ("auc", "accuracy"):
        assert np.ptp(by_source[name]) > 2 * np.ptp(by_frame[name]), name
    frame = evaluate(rows, resamples=200)["levels"]["frame"]
    assert np.ptp(frame["intervals"]["auc"]) > 2 * np.ptp(by_frame["auc"])  # `evaluate` takes the wide one


def test_interval_covers_the_truth_by_source_and_not_by_frame():
    """300 data sets of 60 videos with 8 frames each, frames sharing their video's mood.

    Scores are mood N(0, 1) + noise N(0, 1), fakes one higher: the AUC over all such videos is Phi(1/2) = 0.6915.
    A 95 % interval covers it in 285 +- 4 of 300; the percentile bootstrap is known to be a little short, so 270
    (90 %) is asked for. Frames drawn one by one give an interval that cannot be right.
    """
    truth, by_source, by_frame = 0.6915, 0, 0
    source = np.repeat(np.arange(60), 8)
    labels = source % 2
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scores = expit(rng.normal(size=60)[source] + rng.normal(labels, 1))
        low, high = metrics.intervals(labels, scores, source, 0.5, 300, seed)[0]["auc"]
        by_source += low <= truth <= high
        low, high = metrics.intervals(labels, scores, np.arange(480), 0.5, 300, seed)[0]["auc"]
        by_frame += low <= truth <= high
    assert 270 <= by_source <= 297 and by_frame < 240, (by_source, by_frame)


def test_one_source_has_no_interval_and_says_why():
    rows = make_rows(sources=1)
    level = evaluate(rows)["levels"]["video"]
    assert level["intervals"]["auc"] is None
    assert "needs 2 sources to resample, got 1" in level["undefined"]["interval of auc"]


def test_videos_without_source_stand_for_themselves():
    rows = make_rows(videos=30)
    rows["source"] = np.full(len(rows["video"]), "", object)
    report = evaluate(rows, resamples=20)
    assert report["levels"]["video"]["sources"] == 30 == report["levels"]["frame"]["sources"]
    assert "30 of 30 videos name no source" in report["notes"][0]


# Calibration --------------------------------------------------------------------------------------------------------


def table_of(labels, logits):
    return table(
        [row(str(i), label=int(y)) | {"logit": x} for i, (y, x) in enumerate(zip(labels, logits, strict=True))]
    )


@pytest.mark.parametrize("true", [0.5, 1.0, 4.0])
def test_temperature_is_found_again(true):
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, 4000)
    labels = rng.random(4000) < expit(honest)
    assert calibration.calibrate(table_of(labels, honest * true))["temperature"] == pytest.approx(true, rel=0.1)


def test_separable_validation_set_gives_no_absurd_figures():
    labels = np.tile([0, 1], 10)
    for size in (0.01, 1.0, 50.0):
        calibrated = calibrate(table_of(labels, size * (2 * labels - 1) + size * 0.01 * np.arange(20)))
        assert 0.2 <= calibrated["temperature"] <= 10
        assert 0 < calibrated["threshold"] < 1 and 0.3 <= calibrated["fraction_threshold"] <= 0.7
        confident = expit(size / calibrated["temperature"])
        assert confident < 1 - 1e-2 or calibrated["temperature"] == 10  # not surer than twenty videos allow


@pytest.mark.parametrize("n_fake, n_real", [(4, 50), (50, 4), (0, 20), (0, 0)])
def test_too_few_validation_videos_choose_nothing(n_fake, n_real):
    labels = np.array([1] * n_fake + [0] * n_real)
    rows = (
        table_of(labels, np.random.default_rng(0).normal(3, 1, len(labels)))
        if len(labels)
        else make_rows(0, unscored=2)
    )
    calibrated = calibrate(rows)
    assert (calibrated["threshold"], calibrated["fraction_threshold"], calibrated["temperature"]) == (0.5, 0.5, 1.0)
    assert (
        f"{n_fake} fake and {n_real} real" in calibrated["calibration"]
        and "not calibrated" in calibrated["calibration"]
    )


def test_threshold_is_the_best_of_all_cuts_and_halfway():
    labels, scores = draw(n=100, seed=4)
    cut = calibration.choose_threshold(labels, scores)
    quality = {c: metrics.measure(labels, scores, c)["balanced_accuracy"] for c in [*scores, cut]}
    assert quality[cut] == max(quality.values())
    ordered = np.sort(scores)
    at = np.searchsorted(ordered, cut)
    assert cut == pytest.approx((ordered[at - 1] + ordered[at]) / 2)
    # A wide empty gap is cut in its middle, however the classes are sized.
    assert calibration.choose_threshold(np.array([0, 0, 0, 1]), np.array([0.0, 0.1, 0.2, 0.9])) == pytest.approx(0.55)
    # Saturated probabilities must not give a threshold that a recipe refuses.
    assert 0 < calibration.choose_threshold(np.array([0, 1]), np.array([0.0, 1e-300])) < 1


def test_fraction_threshold_takes_the_best_of_the_grid_and_the_middle_of_ties():
    labels = np.array([0, 0, 1, 1])
    assert calibration.choose_fraction_threshold(labels, np.array([0.0, 0.1, 0.9, 1.0])) == 0.5
    assert calibration.choose_fraction_threshold(labels, np.array([0.35, 0.55, 0.45, 0.9])) == 0.4  # as good: 0.6, 0.7
    assert calibration.choose_fraction_threshold(labels, np.array([0.55, 0.65, 0.8, 0.9])) == 0.7
    assert calibration.choose_fraction_threshold(labels, np.array([0.0, 0.2, 0.3, 0.35])) == 0.3
    # 3 of 10 frames meet a threshold of 0.3, whatever 0.1 + 0.2 is in floating point.
    rows = table([row(frame=i, probability=0.9 if i < 3 else 0.1) for i in range(10)])
    assert video_scores(rows, "fraction")["score"][0] >= calibration.FRACTION_GRID[0]


def test_calibration_ignores_unscored_and_unlabelled_rows():
    rows = make_rows(videos=60)
    unlabelled = select(rows, slice(0, 6)) | {
        "label": np.full(6, -1, np.int8), "video": np.full(6, "stranger", object),
    }  # fmt: skip
    more = concatenate([rows, unlabelled, table([row("none", status="no_face")])])
    assert calibrate(more) == calibrate(rows)


# The whole ----------------------------------------------------------------------------------------------------------


def test_thresholds_are_the_recipes_and_levels_are_named():
    rows = make_rows()
    report = evaluate(rows, threshold=0.8, fraction_threshold=0.3, temperature=2.0, resamples=50, unit="clip")
    cuts = {name: level["threshold"] for name, level in report["levels"].items()}
    assert cuts == {"video": 0.8, "video_fraction": 0.3, "face": 0.8, "frame": 0.5}
    assert report["levels"]["frame"]["auc"] != report["levels"]["video"]["auc"]
    text = format_metrics(report)
    head = next(line for line in text.splitlines() if "video (mean)" in line)
    assert head.split("  ")[-1] == "clip" and "50 resamples by source" in text and "AUC" in text
    low, high = report["levels"]["video"]["intervals"]["auc"]
    assert f"{report['levels']['video']['auc']:.3f} [{low:.3f}, {high:.3f}]" in text
    json.dumps(report, allow_nan=False)


def test_data_of_another_recipe_is_told_by_field():
    mine = DataRecipe(input_type="clip", detector="mtcnn", margin_frac=0.3, flow="dis")

    def differing(input_type, wants_flow=False, /, **changes):
        other = DataRecipe.from_dict(mine.to_dict() | changes)
        return differing_fields(mine, other, input_type, wants_flow)

    assert differing("clip") == []
    assert differing("clip", margin_frac=0.1, detector="blazeface") == [
        "detector: network 'mtcnn', data 'blazeface'", "margin_frac: network 0.3, data 0.1",
    ]  # fmt: skip
    assert differing("clip", num_frames=8) and not differing("frame", num_frames=8)
    assert differing("clip", input_type="frame") == ["input_type: network 'clip', data 'frame'"]
    assert differing("clip", True, flow="farneback") and not differing("clip", False, flow="farneback")
    assert differing("flow", True, stride_frames=2) and not differing("frame", stride_frames=2)


def test_run_folder_without_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        evaluate_run(tmp_path / "nowhere")
    with pytest.raises(InputError, match="best"):
        evaluate_run(tmp_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder as training leaves it: an untrained tiny clip network and a tiny prepared data set."""
    import dataclasses

    import keras
    from support import prepared, tiny_networks

    from tfdeepfake import files, models, recipe
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.model_folder import save_model

    root = tmp_path_factory.mktemp("run")
    tiny_networks.register()
    data_dir, data = prepared.write_prepared(root / "data")
    opened = pipeline.open_data(data, data_dir)
    keras.utils.set_random_seed(0)
    model = models.build("tiny_clip")
    description = recipe.Recipe(
        "tiny_clip",
        {},
        opened.recipe,
        threshold=0.45,
        fraction_threshold=0.4,
        temperature=1.5,
        data_version=opened.version,
    )
    save_model(root / "best", model, description)
    files.write_json(root / "config.json", {"data": data, "data_dir": data_dir})
    write_scores(root / "scores_validation.csv", score_data(model, opened, "validation", 4))
    other = dataclasses.replace(opened.recipe, margin_frac=0.7)
    prepared.write_prepared(root / "data", other, name="other")
    return root


def test_a_run_is_scored_measured_and_imaged(run, capsys):
    from tfdeepfake.data.batches import pipeline
    from tfdeepfake.model_folder import load_model

    report = evaluate_run(run, batch_size=3, resamples=30)
    out = run / "evaluation" / "test"
    names = {"scores.csv", "metrics.json", "roc.png", "pr.png", "confusion.png", "histogram.png", "reliability.png"}
    names |= {"selective.png"}
    assert {path.name for path in out.iterdir()} == names
    assert json.loads((out / "metrics.json").read_text()) == report
    # The same logits as `predict`, for every example of the split, and the videos without a face counted.
    model, description = load_model(run / "best")
    data = pipeline.scoring_batches(pipeline.open_data("tiny/clip", run / "data"), "test", "clip", 8)
    expected = model.predict(data, verbose=0)[:, 0]
    rows = read_scores(out / "scores.csv")
    scored = rows["status"] == "scored"
    assert rows["logit"][scored] == pytest.approx(expected, abs=1e-5)  # other batch sizes sum in another order
    assert report["coverage"]["videos"] == 9 and report["coverage"]["no_face"] == 1
    assert report["weights_sha256"] == description.weights_sha256 and report["unit"] == "clip"
    assert report["data"] == "tiny/clip:1.0.0" and report["split"] == "test"
    assert report["levels"]["video"]["threshold"] == 0.45 and report["thresholds"]["temperature"] == 1.5
    said = capsys.readouterr().out
    assert "Scored 8 of 9 videos (no_face 1" in said and "tiny/clip:1.0.0 test" in said


def test_listed_videos_are_excluded_and_counted(run, tmp_path, capsys):
    whole = evaluate_run(run, out=tmp_path / "whole", resamples=0)
    rows = read_scores(tmp_path / "whole" / "scores.csv")
    last = int(np.flatnonzero(rows["status"] == "scored")[-1])
    key = ",".join(str(rows[name][last]) for name in ("data_set", "method", "video"))
    leaking = tmp_path / "leaking.csv"
    leaking.write_text(f"data_set,method,video\n{key}\ntiny,elsewhere,v0000\n")
    capsys.readouterr()
    report = evaluate_run(run, exclude=leaking, resamples=0)
    assert report["coverage"]["excluded"] == 1 and report["coverage"]["videos"] == whole["coverage"]["videos"] - 1
    assert report["levels"]["video"]["n"] == whole["levels"]["video"]["n"] - 1
    assert "1 more videos of the split are excluded by" in capsys.readouterr().out
    left = read_scores(run / "evaluation" / "test-without-leaking" / "scores.csv")
    assert rows["video"][last] not in left["video"] and len(left["video"]) == len(rows["video"]) - 1
    for text, said in (("video\nv\n", "data_set"), ("\xff", "line 1|UTF-8")):
        leaking.write_text(text)
        with pytest.raises(InputError, match=said):
            evaluate_run(run, exclude=leaking)
    leaking.write_text(
        "data_set,method,video\n"
        + "".join(f"{d},{m},{v}\n" for d, m, v in zip(rows["data_set"], rows["method"], rows["video"], strict=True))
    )
    with pytest.raises(InputError, match="lists all 9 videos"):
        evaluate_run(run, exclude=leaking)


def test_each_data_set_has_a_folder_and_a_model_folder_stays_as_it_is(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plots, "write_plots", lambda *args: None)  # most of the time
    write_prepared(tmp_path / "more", name="third")
    there = {"data": "third", "data_dir": tmp_path / "more", "resamples": 0}
    own, before = evaluate_run(run, resamples=0), sorted((run / "best").iterdir())
    other = evaluate_run(run, **there)
    assert json.loads((run / "evaluation" / "test" / "metrics.json").read_text()) == own
    assert json.loads((run / "evaluation" / "third-clip-test" / "metrics.json").read_text()) == other
    evaluate_run(run / "best", split="validation", **there)
    copy_model(run / "best", tmp_path / "models" / "mine")
    evaluate_run(tmp_path / "models" / "mine", tta="flip", **there)
    names = [f"{run.name}-best-third-clip-validation", "mine-third-clip-test-tta-flip"]
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == sorted(names)
    assert sorted((run / "best").iterdir()) == before and len(list((tmp_path / "models" / "mine").iterdir())) == 2
    # The run's own data set by its name, and another one of that name.
    evaluate_run(run, data="tiny/clip", resamples=0)
    write_prepared(tmp_path / "more")
    evaluate_run(run, **there | {"data": "tiny"})
    folders = {"test", "third-clip-test", "tiny-clip-test"}
    assert folders <= {path.name for path in (run / "evaluation").iterdir()}
    capsys.readouterr()
    with pytest.raises(InputError, match="names no data set. Add --data NAME"):
        evaluate_run(run / "best")


def test_data_prepared_otherwise_is_refused_by_field(run):
    with pytest.raises(InputError) as error:
        evaluate_run(run, data="other/clip")
    assert "margin_frac: network 0.3, data 0.7" in str(error.value) and "other/clip:1.0.0" in str(error.value)
    command = str(error.value).partition("with the network's recipe: ")[2]
    args = parser().parse_args(shlex.split(command)[1:])
    assert (args.name, args.dir, args.like, args.data_dir) == ("other", "FOLDER", str(run), str(run / "data"))


def test_the_split_that_chose_the_thresholds_is_called_optimistic(run, capsys):
    evaluate_run(run, split="validation", out=run / "elsewhere", resamples=0)
    assert "optimistic: 10 of 10 videos also served to choose" in capsys.readouterr().out
    assert (run / "elsewhere" / "metrics.json").exists()


@pytest.mark.parametrize("batch_size", [5, 32])
def test_frame_network_scores_every_frame_of_the_clips(run, batch_size):
    from support import tiny_networks

    from tfdeepfake.data.batches import pipeline

    rows = score_data(tiny_networks.tiny_frame(), pipeline.open_data("tiny/clip", run / "data"), "test", batch_size)
    assert np.sum(rows["status"] == "scored") == 8 * 4
    assert len({(v, f) for v, f in zip(rows["video"], rows["frame"], strict=True) if f >= 0}) == 32
    assert video_scores(rows)["frames"].tolist() == [4] * 8 + [0]


# Parts of the videos ------------------------------------------------------------------------------------------------


def test_accuracy_at_half_stands_beside_the_one_at_the_threshold():
    rows = make_rows()
    video = evaluate(rows, threshold=0.97, resamples=20)["levels"]["video"]
    at_half = evaluate(rows, threshold=0.5, resamples=20)["levels"]["video"]
    assert video["accuracy_at_half"] == at_half["accuracy"] != video["accuracy"]
    assert video["intervals"]["accuracy_at_half"] == at_half["intervals"]["accuracy"]
    assert "accuracy_at_half" not in evaluate(rows, resamples=0)["levels"]["video_fraction"]


def test_subgroups_are_measured_apart_and_few_are_warned_of(tmp_path):
    rows = make_rows(videos=90, sources=30, unscored=2)
    number = {name: n for n, name in enumerate(dict.fromkeys(rows["source"]))}
    rows["gender"] = np.array([("F", "M", "M", "")[number[s] % 4] for s in rows["source"]], object)
    rows["skin_tone"] = np.array([("light", "dark")[number[s] % 2] for s in rows["source"]], object)
    write_scores(tmp_path / "scores.csv", rows)
    again = read_scores(tmp_path / "scores.csv")
    assert all(np.array_equal(again[name], rows[name]) for name in ("gender", "skin_tone"))
    report = evaluate(again, resamples=50)
    json.dumps(report, allow_nan=False)
    genders = report["subgroups"]["gender"]
    assert list(genders) == ["(not told)", "F", "M"] and sum(level["n"] for level in genders.values()) == 90
    women = evaluate(select(rows, rows["gender"] == "F"), resamples=50)["levels"]["video"]
    for name in ("auc", "accuracy", "n_fake", "intervals"):
        assert genders["F"][name] == women[name], name
    text = format_metrics(report)
    assert f"gender of fewer than 30 scored videos: (not told) ({genders['(not told)']['n']}), F" in text
    assert f"of {genders['M']['coverage']['videos']}" in text and "skin_tone" in text
    assert list(evaluate(rows, resamples=0, subgroups=["gender"])["subgroups"]) == ["gender"]
    assert [entry["video"] for entry in report["unscored"]] == ["none0", "none1"]
    with pytest.raises(InputError, match="race: is no subgroup of the scores. There is gender, skin_tone"):
        evaluate(rows, subgroups=["race"])
    rows["gender"][0] = "X"
    with pytest.raises(InputError, match="has two values for the video d/"):
        evaluate(rows)


def test_subgroups_that_fakes_alone_have_stand_against_all_reals():
    rows = make_rows(videos=90, sources=30)
    fake = rows["label"] == 1
    swap = np.array([int(video) % 2 == 0 for video in rows["video"]])
    rows["scenario"] = np.where(fake, np.where(swap, "swap", "talk"), "real").astype(object)
    report = evaluate(rows, resamples=0)
    levels, whole = report["subgroups"]["scenario"], report["levels"]["video"]
    assert "real" not in levels and {level["n_real"] for level in levels.values()} == {whole["n_real"]}
    assert sum(level["n_fake"] for level in levels.values()) == whole["n_fake"]
    assert all(level["auc"] is not None for level in levels.values())
    assert any(note.startswith("scenario: no value holds fakes and reals") for note in report["notes"])
    rows["scenario"][:] = "one"
    assert not any("against all reals" in note for note in evaluate(rows, resamples=0)["notes"])


def test_several_data_sets_have_a_row_each():
    rows, other = make_rows(), make_rows(seed=1)
    other["data_set"] = np.full(len(other["video"]), "e", object)
    report = evaluate(concatenate([rows, other | {"race": other["source"]}]), resamples=0)
    assert {name: level["n"] for name, level in report["data_sets"].items()} == {"d": 40, "e": 40}
    assert report["data_sets"]["d"]["auc"] == evaluate(rows, resamples=0)["levels"]["video"]["auc"]
    assert evaluate(rows, resamples=0)["data_sets"] == {} and report["subgroups"]["race"]["(not told)"]["n"] == 40


# Scores that are there ----------------------------------------------------------------------------------------------


def test_a_score_file_is_measured_as_the_run_that_wrote_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plots, "write_plots", lambda *args: None)
    known = evaluate_run(run, out=tmp_path / "run")
    report = evaluate_file(tmp_path / "run" / "scores.csv")
    assert report["levels"] == known["levels"] and report["thresholds"] == known["thresholds"]
    assert report["network"] == "tiny_clip" and report["unit"] == "clip" and "run" in report
    assert json.loads((tmp_path / "run" / "evaluation" / "metrics.json").read_text()) == report


def test_coverage_below_what_was_asked_for_ends_with_3_and_names_videos(tmp_path, capsys):
    write_scores(tmp_path / "scores.csv", make_rows(unscored=3))
    command = ["evaluate", str(tmp_path / "scores.csv"), "--min-coverage"]
    assert main([*command, "0.9"]) == 0
    assert "mean rule, threshold 0.5" in capsys.readouterr().out
    assert main([*command, "0.95"]) == 3
    error = capsys.readouterr().err
    assert "Coverage 40 of 43 is below 0.95" in error and "  d/swap/none2 (no_face)" in error
    assert main([*command, "95"]) == 2 and "needs a fraction 0..1" in capsys.readouterr().err
    assert main([*command[:2], "--tta", "flip"]) == 2 and "--tta: is not used" in capsys.readouterr().err
    write_scores(tmp_path / "scores.csv", make_rows() | {"label": np.full(240, -1, np.int8)})
    assert main(command[:2]) == 2 and "has no video with a label. Give" in capsys.readouterr().err
