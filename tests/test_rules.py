"""From logits to the probability of a face and a video: by plain loops, in a verdict, and in an evaluation alike."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from support.verdicts import brightness_network, example, no_detector, pretend, recipe

from tfdeepfake.evaluation.aggregation import face_scores, video_scores
from tfdeepfake.evaluation.calibration import calibrate
from tfdeepfake.evaluation.evaluate import evaluate
from tfdeepfake.evaluation.text import format_metrics
from tfdeepfake.published.sources import SOURCES
from tfdeepfake.recipe import Recipe
from tfdeepfake.scoring import rules
from tfdeepfake.scoring.table import table
from tfdeepfake.verdict.judging import judge
from tfdeepfake.verdict.lines import line
from tfdeepfake.verdict.results import score_rows
from tfdeepfake.verdict.settings import JudgeSettings
from tfdeepfake.vocabulary import VIDEO_RULES


def confident(p):
    """The rule as its authors describe it."""
    if (p > 0.8).sum() > 11 and (p > 0.8).sum() > len(p) / 2.5:
        return p[p > 0.8].mean()
    if (p < 0.2).sum() > 0.9 * len(p):
        return p[p < 0.2].mean()
    return p.mean()


EXPECTED = {
    "mean": lambda logits, t: expit(logits / t).mean(),
    "mean_logit": lambda logits, t: expit(logits.mean() / t),
    "confident": lambda logits, t: confident(expit(logits / t)),
    # Ten samples a second: a window is 16 of them.
    "peak": lambda logits, t: max(expit(logits / t)[k : k + 16].mean() for k in range(max(1, len(logits) - 15))),
}


@pytest.mark.parametrize("rule", VIDEO_RULES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_groups_are_summed_up_as_by_hand(rule, temperature):
    rng = np.random.default_rng(0)
    # Scattered, nearly all fake, nearly all real, too few to be confident, a single sample.
    faces = [rng.normal(0, 4, 40), rng.normal(8, 1, 30), rng.normal(-8, 1, 30), np.full(11, 9.0), np.array([0.3])]
    group = np.concatenate([np.full(len(f), k) for k, f in enumerate(faces)])
    times = np.concatenate([np.arange(len(f)) / 10 for f in faces])
    order = rng.permutation(len(group))
    logits = np.concatenate(faces)
    values = rules.sum_up(logits[order], group[order], rule, temperature, times[order])
    expected = [EXPECTED[rule](f, temperature) for f in faces]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    # Networks that vote: each sums up alone, then the mean; for the peak the mean comes first.
    two = np.stack([logits, rng.normal(0, 3, len(logits))], axis=1)
    alone = [rules.sum_up(column, group, rule, temperature, times) for column in two.T]
    if rule != "peak":
        np.testing.assert_allclose(rules.sum_up(two, group, rule, temperature, times), np.mean(alone, axis=0))
    same = rules.sum_up(np.stack([logits] * 3, axis=1), group, rule, temperature, times)
    np.testing.assert_allclose(same, expected, rtol=1e-12)


def test_the_confident_rule_at_its_edges():
    p = np.full(30, 0.5)
    p[:12] = 0.9  # 12 of 30 are 2 in 5, and the rule wants more
    assert rules.sum_up(logit(p), None, "confident")[0] == pytest.approx(p.mean())
    p[12] = 0.9
    assert rules.sum_up(logit(p), None, "confident")[0] == pytest.approx(0.9)
    p = np.full(20, 0.1)
    p[:2] = 0.5  # 18 of 20 are 9 in 10
    assert rules.sum_up(logit(p), None, "confident")[0] == pytest.approx(p.mean())
    p[1] = 0.1
    assert rules.sum_up(logit(p), None, "confident")[0] == pytest.approx(0.1)


def logit(p):
    return np.log(p / (1 - p))


def test_a_vote_is_the_mean_of_probabilities():
    logits = np.array([[2.0, -1.0], [800.0, 700.0], [-800.0, 3.0]])
    votes = rules.vote(logits)
    np.testing.assert_allclose(expit(votes), expit(logits).mean(axis=1), rtol=1e-9)
    assert np.isfinite(votes).all()
    np.testing.assert_array_equal(rules.vote(logits[:, :1]), logits[:, 0])


def test_unknown_rules_are_refused():
    for wrong in ({"video_rule": "median"}, {"faces_rule": "mean"}):
        for takes in (lambda **rule: Recipe("meso4", **rule), JudgeSettings):
            with pytest.raises(ValueError, match="rule:? needs one of"):
                takes(**wrong)
    with pytest.raises(ValueError, match="video_rule needs"):
        rules.sum_up(np.zeros(3), None, "median")


@pytest.mark.parametrize("faces_rule", ["max", "all"])
@pytest.mark.parametrize("video_rule", VIDEO_RULES)
def test_verdict_and_evaluation_say_the_same(monkeypatch, video_rule, faces_rule):
    """The verdict's figure is that of its own scores.csv, evaluated by the same recipe."""
    rng = np.random.default_rng(1)
    made = [example(b, face=f, frame=6 * k) for f in (0, 1) for k, b in enumerate(rng.uniform(0.2, 0.95, 16))]
    pretend(monkeypatch, made)
    used = dataclasses.replace(recipe(temperature=1.5), video_rule=video_rule, faces_rule=faces_rule)
    verdict = judge("clip.mp4", brightness_network(), used, no_detector)
    assert (verdict.video_rule, verdict.faces_rule) == (video_rule, faces_rule)
    rows = table(list(score_rows([{"name": "clip.mp4", **verdict.to_dict()}], {})))
    scores = video_scores(rows, video_rule, 1.5, faces_rule=faces_rule)
    assert scores["score"][0] == pytest.approx(verdict.probability, abs=1e-12)
    assert (scores["faces"][0], scores["face"][0] == -1) == (2, faces_rule == "all")
    assert verdict.label == ("UNSURE" if verdict.doubts else "FAKE" if verdict.probability >= 0.5 else "REAL")
    of_faces = face_scores(rows, video_rule, 1.5)["score"]
    assert sorted(of_faces) == pytest.approx(sorted(f["probability"] for f in verdict.faces), abs=1e-12)
    assert (verdict.deciding_face is None) == (faces_rule == "all")
    said = line(verdict.to_dict(), 0.5)
    assert ("decided by 2 faces together" in said) == (faces_rule == "all")
    if faces_rule == "max":
        assert verdict.probability == max(f["probability"] for f in verdict.faces)
    if video_rule == "peak":
        assert verdict.interval is None
    else:
        assert verdict.interval[0] <= verdict.probability <= verdict.interval[1]


def test_an_evaluation_and_a_calibration_obey_the_rules():
    rng = np.random.default_rng(0)
    rows = []
    for video in range(20):
        for face in range(2):  # of a fake, one face is fake
            fake = video % 2 and face
            rows += [
                {"video": f"v{video}", "face": face, "frame": k, "timestamp_s": k / 10, "label": video % 2, "logit": x}
                for k, x in enumerate(rng.normal(3 if fake else -1, 2, 20))
            ]
    rows = table(rows)
    aucs = {}
    for video_rule, faces_rule in (("mean", "max"), ("mean", "all"), ("mean_logit", "max"), ("confident", "all")):
        report = evaluate(rows, resamples=0, video_rule=video_rule, faces_rule=faces_rule)
        scores = video_scores(rows, video_rule, faces_rule=faces_rule)["score"]
        level = report["levels"]["video"]
        assert level["confusion"]["true_fake"] == (scores[1::2] >= 0.5).sum()
        assert report["levels"]["face"]["n"] == 40
        aucs[video_rule, faces_rule] = level["log_loss"]
        assert f"video ({video_rule.replace('_', ' ')}" in format_metrics(report)
        chosen = calibrate(rows, video_rule, faces_rule)
        cut = video_scores(rows, video_rule, chosen["temperature"], faces_rule=faces_rule)["score"]
        assert ((cut >= chosen["threshold"]) == np.arange(20) % 2).mean() > 0.9
    assert len(set(aucs.values())) == 4
    assert evaluate(rows, resamples=0)["levels"]["video"]["log_loss"] == aucs["mean", "max"]


def test_published_detectors_state_their_authors_rules():
    rule = {name: (known.video_rule, known.faces_rule) for name, known in SOURCES.items()}
    assert rule["gend_clip_l14"] == ("mean", "max") and SOURCES["gend_clip_l14"].data.num_frames == 32
    assert rule["dfdc_winner_b7_111_36"] == ("confident", "all")
    assert rule["bonettini_b4_att_dfdc"] == rule["bonettini_xception_ffpp"] == ("mean_logit", "max")
