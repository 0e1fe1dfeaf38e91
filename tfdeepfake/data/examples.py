"""From a video file to examples: the same path for builders and prediction.

    path -> sampled frames -> faces of some of them -> tracks -> boxes for all of them -> crops -> flow

A score is only right when prediction looks at a video as training did, so both call `extract` with the recipe.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data import faces, video
from tfdeepfake.data.faces import align, fit
from tfdeepfake.data.runs import TooShort, runs
from tfdeepfake.errors import InputError

if TYPE_CHECKING:
    from tfdeepfake.recipe import DataRecipe


__all__ = ["Example", "NoFace", "TooShort", "extract"]

# Faces are looked for at both ends of a run of consecutive frames and between them about every so many frames of
# video: in a third of a second a head does not move so far that its box could not be interpolated.
DETECT_EVERY_FRAMES = 8
# Sampled frames are decoded in one pass when they take no more than this, and run by run otherwise; faces of a crowd
# are left out, those seen least first, when their crops would take more than this.
MEMORY_BYTES = 1 << 30
FROM_THE_FRONT = "Choose one that shows a face from the front."


class NoFace(InputError):
    """The video can be read, but no face was found where the recipe looks."""


@dataclass(frozen=True, eq=False)
class Example:
    """One input of a network, which shows one face; T is 1 for input types frame and flow.

    Args:
      frames: uint8 [T, h, w, 3] RGB crops.
      flow: float32 [T, h, w, 2] px/frame of the crops, or None when the recipe has none.
      face: number of the face in its video; 0 is the face with the greatest sum of confidences.
      indices: int64 [T], frame numbers in the video.
      timestamps_s: float64 [T].
      boxes_px: float32 [T, 4], the square that was cut out, in px of the video's full-size frame; of an aligned crop
        the upright square of its centre and size; of crop "fit" with the black beside the face.
      face_boxes_px: float32 [T, 4], the face itself.
      landmarks_px: float32 [T, 5, 2] in px of the crops, as `boxes.Detections` has them, interpolated between searched
        frames; None without a detector.
      transforms: float64 [T, 2, 3], from px of the full-size frame to those of the aligned square, and sides_px: int64
        [T], its side before it was resized; None where crops are not aligned.
      cut_px: float64 [T, 4], of crop "fit" what was cut out, in px of the full-size frame; else None.
      mask: uint8 [T, h, w], where `change` altered the frames; None when it gives no mask.
      score: mean confidence of the face where it was looked for; 1 without a detector.
      face_count: number of faces in the video; in a crowd not all have examples.
    """

    frames: np.ndarray
    flow: np.ndarray | None
    face: int
    indices: np.ndarray
    timestamps_s: np.ndarray
    boxes_px: np.ndarray
    face_boxes_px: np.ndarray
    score: float
    face_count: int = 1
    landmarks_px: np.ndarray | None = None
    transforms: np.ndarray | None = None
    sides_px: np.ndarray | None = None
    cut_px: np.ndarray | None = None
    mask: np.ndarray | None = None


def extract(
    path: str | Path,
    recipe: "DataRecipe",
    detect: Callable | None = None,
    change: Callable | None = None,
    places: Callable | None = None,
    stream: int | None = None,
    frame_rate: float | None = None,
) -> list:
    """Examples of a video or still image, in order of time, then face.

    Spaced frames are all searched for faces; of a run of consecutive ones a few are, and the boxes between are
    interpolated. A clip has an example for each face found in at least half of its searched frames. When `select`
    is not "all" that is the one face selected over the whole video or, where that one is absent, the one selected
    among those present. Input types frame and flow give one example per frame, and all frames of a video that
    has fewer than asked for.

    With `alignment` a crop is turned and scaled so that the face's landmarks come to the template's places
    (`faces.align`); a face whose landmarks lie on one spot is left out.

    `box_smoothing` "clip" is one box for a run; a spaced frame of input type frame is a run of its own. Flow of input
    type flow and spaced sampling is that between successive samples of the face's smoothed track.

    Args:
      path: file, or folder of the frames of one video.
      recipe: DataRecipe.
      detect: a detector, see `faces.make_detector`; that of the recipe when None. Not called when the recipe's detector
        is "none": the whole frame is the input then.
      change: function of an Example that returns one with other frames, or None. It gets a run as one Example without
        flow (for input type frame, each frame as one); flow is computed from the new frames.
      frame_rate: frames/s of a folder of frames, see `video.probe`.
      places: parts of the video that are sampled, see `runs.runs`; all of it when None.
      stream: as in `video.probe`.
    Returns:
      list of Example, at least one.
    Raises:
      video.VideoError: the file is no video that can be read. A few frames that cannot be decoded are replaced by
        their neighbours.
      TooShort: it has fewer frames than a clip takes, or fewer than two for input type flow.
      NoFace: no face was found.
    """
    info = video.probe(path, stream=stream, frame_rate=frame_rate)
    numbers = runs(path, info.frame_count, recipe, places, info.stream, frame_rate)
    if recipe.detector == "none":
        reading = _read(path, info, numbers, _side_px(info, recipe))
        examples = [e for frames in reading for e in _whole(frames, info, recipe, change)]
    else:
        examples = _of_faces(path, info, numbers, recipe, detect or faces.make_detector(recipe.detector), change)
    if recipe.input_type != "clip":
        # Runs of a short video overlap.
        examples = list({(e.face, int(e.indices[0])): e for e in reversed(examples)}.values())
    return sorted(examples, key=lambda e: (int(e.indices[0]), e.face))


def _frame_bytes(info, side_px=video.MAX_SIDE_PX):
    """Memory of a frame as it is read, bytes."""
    shrink = min(1.0, side_px / max(info.width, info.height))
    return 3 * info.width * info.height * shrink**2


def _side_px(info, recipe):
    """Longest side of the frames that are read: of chunks one at which a whole chunk fits into the memory."""
    if recipe.sampling != "chunks":
        return video.MAX_SIDE_PX
    fits = (MEMORY_BYTES / (recipe.num_frames * _frame_bytes(info))) ** 0.5
    return max(64, int(min(video.MAX_SIDE_PX, max(info.width, info.height)) * min(1.0, fits)))


def _pieces(numbers, info, side_px):
    """Parts of frame numbers whose frames fit into the memory together."""
    most = max(1, int(MEMORY_BYTES // _frame_bytes(info, side_px)))
    return [numbers[start : start + most] for start in range(0, len(numbers), most)]


def _read(path, info, wanted, side_px=video.MAX_SIDE_PX):
    """Yields `Frames` for each int64 [L] of `wanted`, images as a list; a frame that cannot be decoded is replaced
    by the nearest one that can, which shows in `indices`."""
    every = np.unique(np.concatenate(wanted))
    how = {"max_side_px": side_px, "stream": info.stream, "frame_rate": info.fps or None}
    read = None
    if len(every) * _frame_bytes(info, side_px) <= MEMORY_BYTES or len(every) == max(map(len, wanted)):
        read = video.read_frames(path, every, **how)
    for numbers in wanted:
        got = read
        if read is None:
            got = video.read_frames(path, numbers, **how)
        rows = np.abs(got.indices[None] - numbers[:, None]).argmin(axis=1)
        yield video.Frames([got.frames[row] for row in rows], got.indices[rows], got.timestamps_s[rows])


def _whole(frames, info, recipe, change):
    """Examples of a run of whole frames."""
    crops = np.stack([faces.resize(frame, recipe.height_px, recipe.width_px) for frame in frames.frames])
    boxes = np.tile(np.float32([0, 0, info.width, info.height]), (len(crops), 1))
    return _examples(
        frames, np.arange(len(crops)), recipe, change,
        frames=crops, boxes_px=boxes, face_boxes_px=boxes, face=0, score=1.0, face_count=1,
    )  # fmt: skip


def _of_faces(path, info, runs, recipe, detect, change):
    """Examples of the faces of all runs."""
    searched = [_searched(run, recipe) for run in runs]
    looked = np.unique(np.concatenate([run[at] for run, at in zip(runs, searched, strict=True)]))
    side_px = _side_px(info, recipe)
    pieces = _pieces(looked, info, side_px)
    reading = _read(path, info, [*pieces, *runs], side_px)
    detections, looks, some = [], [], False
    for _ in pieces:
        frames = next(reading).frames
        of_piece = detect(frames)
        some = some or any(map(len, of_piece))
        if recipe.alignment != "none":
            of_piece = [d.rows(align.alignable(d.landmarks_px)) for d in of_piece]
        detections += of_piece
        looks += faces.looks_of(of_piece, frames)
        del frames
    tracks = faces.link_tracks(detections, looks=looks)
    if some and not tracks:
        raise NoFace(path, "no face that was found has landmarks to align it by.", FROM_THE_FRONT)
    if not tracks:
        where = f"{len(looked)} frames" if len(looked) > 1 else "the image"
        raise NoFace(path, f"no face was found in {where}.", FROM_THE_FRONT)
    (best, *_), count = faces.select_tracks(tracks, recipe.select), len(tracks)
    bytes_per_face = sum(map(len, runs)) * recipe.height_px * recipe.width_px * (3 if recipe.flow == "none" else 11)
    tracks = tracks[: max(1, MEMORY_BYTES // bytes_per_face)]
    tracks += [] if best.face < len(tracks) else [best]
    examples = []
    for run, at in zip(runs, searched, strict=True):
        frames = next(reading)
        scale = info.width / frames.frames[0].shape[1]
        for track, positions in _uses([_within(t, looked, run, at) for t in tracks], best.face, len(at), recipe):
            # A clip's frames are all used, also where the face was not seen.
            positions = np.arange(len(run)) if positions is None else positions
            examples += _examples(
                frames, positions, recipe, change, face=track.face, score=float(track.scores.mean()), face_count=count,
                **_cut(frames.frames, track, positions, recipe, scale),
            )  # fmt: skip
    if not examples:
        raise NoFace(
            path,
            f"faces were found, but none in half of the frames of any of {len(runs)} clips.",
            "Choose a video that shows a face for longer.",
        )
    return examples


def _searched(run, recipe):
    """Positions in a run at which faces are looked for."""
    length = len(run)
    if recipe.sampling == "spaced":
        return np.arange(length)
    # In frames as the recipe counts them: a copy at another rate is searched at the same moments.
    span = (length - 1) * recipe.stride_frames
    count = min(length, -(-span // DETECT_EVERY_FRAMES) + 1)
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.int64))


def _within(track, looked, run, at):
    """The part of a track that lies in a run, `positions` counted in the run; it may be empty."""
    _, mine, theirs = np.intersect1d(looked[track.positions], run[at], return_indices=True)
    return dataclasses.replace(
        track,
        positions=at[theirs],
        boxes_px=track.boxes_px[mine],
        scores=track.scores[mine],
        landmarks_px=track.landmarks_px[mine],
    )


def _uses(tracks, best, searched, recipe):
    """Which faces of a run become examples.

    Args:
      tracks: list of Track within the run.
      best: number of the face selected over the whole video.
      searched: in how many frames of the run faces were looked for.
    Returns:
      list of (Track, positions that become examples, or None for all of the run).
    """
    if recipe.input_type == "clip" or recipe.sampling == "consecutive":
        there = [t for t in tracks if 2 * len(t) >= searched]
        if recipe.select != "all":
            there = [t for t in there if t.face == best] or faces.select_tracks(there, recipe.select)
        return [(t, None) for t in there]
    if recipe.select == "all":
        return [(t, t.positions) for t in tracks if len(t)]
    taken = {}
    for position in range(searched):
        there = [t for t in tracks if position in t.positions]
        there = [t for t in there if t.face == best] or faces.select_tracks(there, recipe.select)
        for track in there:
            taken.setdefault(track.face, []).append(position)
    return [(t, np.array(taken[t.face])) for t in tracks if t.face in taken]


def _cut(frames, track, positions, recipe, scale):
    """Cuts a face out of a run.

    Args:
      scale: px of the video's full-size frame per px of `frames`.
    Returns:
      dict of the fields of Example for the whole run; only the rows at `positions` hold crops when the rest is not
      needed for flow.
    """
    single_frames = recipe.input_type == "frame" and recipe.sampling == "spaced" and recipe.box_smoothing == "clip"
    smoothing = "frame" if single_frames else recipe.box_smoothing
    boxes, landmarks = faces.track_boxes(track, len(frames), smoothing), faces.track_landmarks(track, len(frames))
    height, width = recipe.height_px, recipe.width_px
    crops = np.zeros([len(frames), height, width, 3], np.uint8)
    wanted = positions if recipe.input_type == "frame" else range(len(frames))
    more = {}
    if recipe.crop == "fit":
        cuts = fit.fit_boxes(boxes, recipe.margin_frac, *frames[0].shape[:2])
        for t in wanted:
            crops[t] = fit.fit_crop(frames[t], cuts[t], height, width)
        squares = fit.fit_squares(cuts, height, width)
        landmarks = (landmarks - squares[:, None, :2]) / (squares[:, None, 2:] - squares[:, None, :2])
        more = {"cut_px": cuts * float(scale)}
    elif recipe.alignment == "none":
        squares = faces.square_box(boxes, recipe.margin_frac)
        for t in wanted:
            crops[t] = faces.crop(frames[t], squares[t], height, width)
        whole = np.rint(squares)[:, None]  # as `boxes.crop` does
        landmarks = (landmarks - whole[..., :2]) / (whole[..., 2:] - whole[..., :2])
    else:
        transforms, sides = align.run_transforms(landmarks, recipe.alignment, recipe.margin_frac, smoothing)
        for t in wanted:
            crops[t] = align.aligned_crop(frames[t], transforms[t], sides[t], height, width)
        squares, landmarks = align.squares_px(transforms, sides), align.moved(transforms, landmarks)
        landmarks = landmarks / sides[:, None, None]
        more = {"transforms": align.rescaled(transforms, scale), "sides_px": sides}
    return {
        "frames": crops,
        "boxes_px": squares * scale,
        "face_boxes_px": boxes * scale,
        "landmarks_px": (landmarks * [width, height]).astype(np.float32),
    } | more


def _examples(read, positions, recipe, change, **facts):
    """One example for a run (input type clip) or for each of its `positions`; `facts` are those of the whole run."""
    facts |= {name: facts[name].astype(np.float32) for name in ("boxes_px", "face_boxes_px")}
    run = Example(flow=None, indices=np.asarray(read.indices), timestamps_s=np.asarray(read.timestamps_s), **facts)
    if recipe.input_type == "frame":
        return [(change or (lambda e: e))(_rows(run, [t])) for t in positions]
    if change is not None:
        run = change(run)
    if recipe.flow != "none":
        from tfdeepfake.data.flow import optical_flow

        run = dataclasses.replace(run, flow=optical_flow(run.frames, recipe.flow))
    return [_rows(run, rows) for rows in ([positions] if recipe.input_type == "clip" else [[t] for t in positions])]


def _rows(example, rows):
    """The part of an Example that lies in some of its frames."""
    arrays = {name: value[rows] for name, value in vars(example).items() if isinstance(value, np.ndarray)}
    return dataclasses.replace(example, **arrays)
