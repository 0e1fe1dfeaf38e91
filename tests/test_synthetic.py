"""The synthetic set: people apart between splits, manipulations of the promised character, the same bytes by seed."""

import collections
import dataclasses
import hashlib

import cv2
import numpy as np
import pytest

from tfdeepfake.data import synthetic

T = 10


def people(n):
    """A target with its motion and a source with its own, the n-th pair."""
    target = synthetic.identity(0, n), synthetic.scene(0, 100 * n), synthetic.motion(100 + n, T)
    return target, (synthetic.identity(0, n + 20), synthetic.motion(900 + n, T))


def fake(method, n, **kwargs):
    """Frames uint8 [T,H,W,3] and masks uint8 [T,H,W] of a manipulation of the n-th pair."""
    target, source = people(n)
    frames_and_masks = list(synthetic.draw_fake(method, target, source, seed=n, **kwargs))
    return np.stack([frame for frame, _ in frames_and_masks]), np.stack([mask for _, mask in frames_and_masks])


def grey(frames):
    return [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]


def jitter_px(frames, weight):
    """How much the mean motion inside `weight` changes from frame to frame (root mean square, px)."""
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    frames = grey(frames)
    flow = np.stack([dis.calc(a, b, None) for a, b in zip(frames[:-1], frames[1:], strict=True)])
    inside = weight[1:-1, ..., None] > 127
    change = (np.diff(flow, axis=0) * inside).sum((1, 2)) / inside.sum((1, 2))
    return float(np.sqrt((change**2).sum(1).mean()))


def test_frames_have_the_size_asked_for_and_the_default_one():
    target, _ = people(3)
    frame = next(synthetic.draw_video(*target))
    assert frame.dtype == np.uint8 and frame.shape == (synthetic.HEIGHT_PX, synthetic.WIDTH_PX, 3)
    frames = list(synthetic.draw_video(*target, width=426, height=360))
    assert len(frames) == T and all(f.shape == (360, 426, 3) and f.std() > 10 for f in frames)


def test_the_same_seeds_draw_the_same_frames_and_others_do_not():
    assert synthetic.identity(1, 5) == synthetic.identity(1, 5) != synthetic.identity(2, 5)
    assert synthetic.scene(1, 5) == synthetic.scene(1, 5) != synthetic.scene(1, 6)
    again = [fake(method, 2)[0] for method in synthetic.METHODS]
    for method, frames in zip(synthetic.METHODS, again, strict=True):
        np.testing.assert_array_equal(frames, fake(method, 2)[0])
    assert not np.array_equal(again[1], fake("expression_transfer", 4)[0])


def test_people_differ_and_every_skin_tone_is_drawn():
    tones = collections.Counter(synthetic.identity(0, n).tone for n in range(60))
    assert len(tones) >= 6
    assert len({synthetic.identity(0, n).hair_style for n in range(60)}) >= 7


def test_motion_is_smooth_blinks_and_speaks():
    motions = [synthetic.motion(seed, 200) for seed in range(8)]
    for motion in motions:
        jaw, blink = motion.expression[:, 0], motion.expression[:, 4]
        assert blink.max() > 0.9 and 0.01 < (blink > 0.5).mean() < 0.25
        opened = ((jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] >= jaw[2:]) & (jaw[1:-1] > 0.15)).sum() / 8  # 200 frames are 8 s
        assert 1.5 <= opened <= 6
        assert np.abs(np.diff(motion.pose[:, :3], axis=0)).max() < 0.06  # rad a frame
    assert np.ptp([m.pose[:, 0] for m in motions]) > 0.4


def test_no_person_is_in_two_splits_and_a_fake_takes_both_people_from_its_own():
    specs = synthetic.make_set()
    home = {}
    for spec in specs:
        for person in (spec.target, spec.source):
            if person is not None:
                assert home.setdefault(person, spec.split) == spec.split
        assert (spec.source is None) == (spec.label == 0) == (spec.method == "real")
        assert spec.source != spec.target
    assert collections.Counter(home.values()) == {"train": 36, "validation": 8, "test": 16}
    assert collections.Counter(s.label for s in specs) == {0: 120, 1: 240}
    assert len({s.video for s in specs}) == len({s.seed for s in specs}) == len(specs)


def test_rooms_tell_nothing_about_the_label():
    specs = synthetic.make_set()
    for person in range(60):
        own = [s for s in specs if s.target == person]
        real = {s.scene for s in own if s.label == 0}
        assert len(real) == 2 and {s.scene for s in own if s.label} == real
    for method in synthetic.METHODS:  # no method keeps to the first or the second room
        second = np.mean([s.scene % 100 for s in specs if s.method == method])
        assert 0.25 < second < 0.75
    # A fake's motion is its own: it has no genuine twin that differs by the manipulation alone.
    assert not {s.seed for s in specs if s.label} & {s.seed for s in specs if not s.label}


def test_a_split_of_one_person_cannot_have_fakes():
    with pytest.raises(ValueError, match="each 0 or at least 2"):
        synthetic.make_set(identities=(4, 1, 2))
    with pytest.raises(ValueError, match="real_per_identity"):
        synthetic.make_set(real_per_identity=0)
    with pytest.raises(ValueError, match="strength"):
        synthetic.make_set(strength=-1.0)
    with pytest.raises(ValueError, match="face_swap"):
        next(synthetic.draw_fake("wav2lip", *people(0), seed=0))


def test_strength_changes_the_fakes_alone():
    far = []
    for plain, strong in zip(
        *(synthetic.make_set((2, 0, 0), 1, num_frames=4, strength=s) for s in (1.0, 3.0)), strict=True
    ):
        frames = [np.stack([frame for frame, _ in synthetic.frames_of(spec)]) for spec in (plain, strong)]
        far.append((plain.label, not np.array_equal(*frames)))
    assert set(far) == {(0, False), (1, True)}


@pytest.mark.parametrize("method", synthetic.METHODS)
def test_only_the_mask_differs_from_the_genuine_video(method):
    target, _ = people(5)
    genuine = np.stack(list(synthetic.draw_video(*target)))
    frames, masks = fake(method, 5)
    assert masks.dtype == np.uint8 and masks.shape == frames.shape[:3]
    np.testing.assert_array_equal(frames[masks == 0], genuine[masks == 0])
    assert np.abs(frames[masks > 200].astype(int) - genuine[masks > 200]).mean() > 2
    share = (masks > 0).mean()
    assert 0.005 < share < (0.06 if method == "mouth_texture" else 0.25)


def registered_difference(a, b, mask):
    """Mean absolute difference of two grey images in a mask after the best affine registration."""
    a, b, mask = a.astype(np.float32), b.astype(np.float32), (mask > 250).astype(np.uint8)
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 60, 1e-5)
    _, warp = cv2.findTransformECC(a, b, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, stop, mask, 3)
    b = cv2.warpAffine(b, warp, b.shape[::-1], flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return np.abs(a - b)[cv2.erode(mask, np.ones((3, 3))) > 0].mean()


def test_the_hard_methods_show_little_in_one_frame():
    """What a single frame holds of them is the face a little beside its place. Against the same manipulation without
    faults (strength 0), registered, the difference is near that of two takes of camera noise alone: measured over 8
    videos 1.35 times for expression_transfer (4 times for face_swap) and 1.9 times for mouth_texture, whose patch is
    less than a tenth of the face."""

    def takes(method, n, strength, noise_seed):
        target, source = people(n)
        motion = dataclasses.replace(target[2], seed=noise_seed)
        return list(synthetic.draw_fake(method, (*target[:2], motion), source, n, strength=strength))

    for method, most in (("expression_transfer", 1.7), ("mouth_texture", 2.6)):
        faulty, noise = [], []
        for n in range(3):
            one, two, other = takes(method, n, 1, 1), takes(method, n, 0, 2), takes(method, n, 0, 3)
            for (a, mask), (b, _), (c, _) in zip(one[::3], two[::3], other[::3], strict=True):
                faulty.append(registered_difference(*grey([a, b]), mask))
                noise.append(registered_difference(*grey([c, b]), mask))
        assert np.mean(faulty) < most * np.mean(noise), (method, np.mean(faulty), np.mean(noise))


def test_the_hard_methods_show_over_time():
    """The mean motion of the manipulated region changes from frame to frame as no genuine face's does."""
    for method in synthetic.HARD_METHODS:
        genuine, faulty, clean = [], [], []
        for n in range(4):
            frames, masks = fake(method, n)
            real = list(
                synthetic.draw_video(
                    synthetic.identity(0, n), synthetic.scene(0, 100 * n), synthetic.motion(100 + n, T)
                )
            )
            genuine.append(jitter_px(real, masks))
            faulty.append(jitter_px(frames, masks))
            clean.append(jitter_px(fake(method, n, strength=0)[0], masks))
        assert min(faulty) > 2 * np.mean(genuine), (method, faulty, genuine)
        # Without its faults the manipulation moves like a genuine face: it is the faults that show.
        assert np.mean(clean) < 1.6 * np.mean(genuine), (method, clean, genuine)


def test_learned_faces_flicker_and_are_soft():
    frames, masks = fake("learned_face", 3)
    real = np.stack(list(synthetic.draw_video(*people(3)[0])))
    inside = masks.min(0) > 200
    tone = [np.diff(video[:, inside].mean((1, 2))).std() for video in (frames, real)]
    assert tone[0] > 2 * tone[1]
    sharp = [np.mean([cv2.Laplacian(f, cv2.CV_32F)[inside].var() for f in grey(v)]) for v in (frames, real)]
    assert sharp[0] < 0.8 * sharp[1]


def test_brightness_noise_and_file_size_do_not_tell_real_from_fake(tmp_path):
    specs = synthetic.make_set(identities=(0, 0, 6), num_frames=8, seed=1)
    figures = {0: [], 1: []}
    for spec in specs:
        path = synthetic.write_clip(spec, tmp_path)
        frames = np.stack([frame for frame, _ in synthetic.frames_of(spec)]).astype(np.float32)
        corner = frames[:, :40, :40]
        noise = np.std(corner[1:] - corner[:-1])
        figures[spec.label].append((frames.mean(), noise, path.stat().st_size))
    real, faked = np.array(figures[0]), np.array(figures[1])
    # The chance that a random fake has the larger figure: 0.5 when they tell nothing; 12 against 24 videos of the
    # same rooms leave about 0.1 either way.
    larger = (faked[:, None] > real[None]).mean((0, 1))
    assert ((0.25 < larger) & (larger < 0.75)).all(), larger


def test_a_clip_is_a_real_video_and_its_bytes_follow_from_the_seed(tmp_path):
    import av

    spec = next(s for s in synthetic.make_set(identities=(0, 0, 2), num_frames=12) if s.method == "mouth_texture")
    path = synthetic.write_clip(spec, tmp_path / "a")
    again = synthetic.write_clip(spec, tmp_path / "b")
    digest = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, again)]
    assert path.name == f"{spec.video}.mp4" and digest[0] == digest[1]
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.codec_context.name == "h264" and stream.average_rate == spec.fps
    assert len(decoded) == 12
    frames = [frame for frame, _ in synthetic.frames_of(spec)]
    assert np.abs(np.stack(decoded).astype(int) - np.stack(frames)).mean() < 6


@pytest.mark.slow
def test_the_detector_finds_the_face():
    """At least 95 % of frames, one face each, 0.3 to 0.55 of the frame high (measured: 99 % of 144 frames)."""
    from tfdeepfake.data.faces import make_detector

    detect = make_detector("mtcnn")
    specs = synthetic.make_set(seed=4, num_frames=8)[::11]
    faces_of_specs = []
    for spec in specs:
        frames = [frame for frame, _ in synthetic.frames_of(spec)][::5]
        faces_of_specs += [(spec, faces) for faces in detect(frames)]
    counts = [len(faces.scores) for _, faces in faces_of_specs]
    assert np.mean([c > 0 for c in counts]) >= 0.95
    assert np.mean([c > 1 for c in counts]) <= 0.03
    heights = [(f.boxes_px[0, 3] - f.boxes_px[0, 1]) / spec.height for spec, f in faces_of_specs if len(f.scores)]
    assert 0.28 < min(heights) and max(heights) < 0.55
