"""Reads the packets of a video: which frames a file holds, when each is shown, and where decoding can start.

Reading the packets without decoding them is a small part of the work of decoding them, and gives exact
timestamps where the container's own claims (frame count, frame rate, duration) are often wrong.
"""

import itertools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video import animation, frame_folder
from tfdeepfake.data.video.check import VideoError, check_pixels, damaged, encrypted
from tfdeepfake.data.video.crop import WHOLE
from tfdeepfake.data.video.encrypted import encryption
from tfdeepfake.data.video.packets import THREADS, Sequence, StreamInfo, demuxed, listed, opened, video_streams
from tfdeepfake.data.video.shown import Looker, Shown, canvas_px
from tfdeepfake.data.video.survey import MAX_LOOKS, Survey

if TYPE_CHECKING:
    from tfdeepfake.data.video.check import Deadline


@dataclass(frozen=True, eq=False)
class Index:
    """What reading the packets of a video told.

    Args:
      path: as given.
      stream: number of the stream among `streams`.
      streams: all videos of the file, each a `StreamInfo`.
      codec: name of the codec, e.g. "h264".
      looks: `Shown` of the first frame and of those that are shown otherwise, as far as the packets told.
      pixel_aspect: that of the container, see `shown.Looker`.
      interlaced: the first frame is interlaced.
      notes: sentences on what is special about the file, e.g. that it is a 360-degree video.
      time_base: seconds of one tick.
      rate: frames/s as the container claims it; None when it does not.
      times: int64 [F], ticks at which each frame is shown, ascending.
      keys: bool [F], frames that need no other frame.
      missing: frames that the container announces and the file does not hold, and (where frames had to be decoded to
        be counted) frames that cannot be decoded.
      packets: None, or the packets in the order of the file: (int64 [P] ticks, bool [P] is a keyframe, bool [P] is
        shown).
      starts: where `packets` is None: int64 [S, 2], packets at which decoding can start and the positions of the
        frames that then come first. A frame is found by decoding from the last start before it and counting.
      decoded: all frames were decoded to be counted; those that cannot be decoded have no position.
      animation_turn: of an animated WebP file, which `animation` decodes: how its frames are turned; None for others.
      is_folder: a folder of images, which `frame_folder` reads.
      fields, field_order: see `Survey`.
      cut: that of the container, see `shown.Looker`.
    """

    path: str
    stream: int
    streams: tuple
    codec: str
    looks: tuple
    pixel_aspect: float | None
    interlaced: bool
    notes: tuple
    time_base: float
    rate: float | None
    times: np.ndarray | None = None
    keys: np.ndarray | None = None
    missing: int = 0
    packets: tuple | None = None
    starts: np.ndarray | None = None
    decoded: bool = False
    animation_turn: tuple | None = None
    is_folder: bool = False
    fields: bool = False
    field_order: str | None = None
    cut: tuple = WHOLE

    @property
    def threads(self) -> int:
        """Of the decoder: FFmpeg's threads lose fields that come one by one among whole frames."""
        return 1 if self.fields else THREADS

    def looker(self) -> Looker:
        """A new `shown.Looker` for the frames of the file."""
        seen = {look.pixel_aspect for look in self.looks}
        return Looker(self.pixel_aspect, self.codec, seen, self.looks[0].turn, self.cut)


def read_index(
    path: str | Path, deadline: "Deadline", number: int | None = None, frame_rate: float | None = None
) -> Index:
    """Reads all packets of a file, decoding the beginning, and all where that is needed to count.

    Args:
      path: a file that `check.check_file` has passed.
      deadline: `check.Deadline`.
      number: of the video stream, as in `opened`.
      frame_rate: of a folder of frames, see `frame_folder`.
    Returns:
      Index.
    Raises:
      VideoError: not a video, encrypted, no frame of it can be decoded, or less than half of it is there.
    """
    if os.path.isdir(path):
        return _of_frame_folder(path, frame_rate)
    if animation.is_animation(path):
        return _of_animation(path)
    with opened(path, 1, number) as (container, stream):
        survey = Survey(container, stream, deadline)
        kind, streams = survey.kind, listed(container)
        absent = _absent(stream, os.path.getsize(path)) if kind == "mov" else 0
        number = video_streams(container).index(stream)
        # Streams without a container state their rate in their parameter sets alone.
        rate = stream.guessed_rate if survey.raw else stream.average_rate
        time_base, rate = float(stream.time_base or 0), float(rate or 0) or None
        whole = sum(survey.shown)
        packets, starts, order = survey.packets(), survey.starts(), survey.order
    if absent > whole:
        raise VideoError(
            path, f"was cut off: {whole} of {absent + whole} frames are there.", "Copy or download it again."
        )
    if not survey.looks:
        name = encryption(path)
        if name:
            raise encrypted(path, name)
        raise damaged(
            path,
            f"holds no frame that can be decoded ({len(survey.ticks)} packets, codec {survey.codec}).",
            "It is damaged: copy or download it again.",
        )
    check_pixels(path, *canvas_px(survey.looks))
    index = Index(
        str(path),
        number,
        streams,
        survey.codec,
        tuple(survey.looks),
        survey.looker.pixel_aspect,
        survey.interlaced,
        survey.notes,
        time_base,
        rate,
        missing=absent,
        fields=survey.fields,
        field_order=survey.field_order,
        cut=survey.looker.cut,
    )
    if packets is not None:
        ticks, keys, shown = packets
        order = np.argsort(ticks[shown], kind="stable")
        return replace(index, times=ticks[shown][order], keys=keys[shown][order], packets=packets)
    if starts is not None:
        # Which position a keyframe has is only known where decoding can start.
        keys = np.zeros(whole, bool)
        keys[starts[:, 1]] = True
        return _timed(replace(index, keys=keys, starts=starts), whole, order)
    return _counted(index, deadline, order)


def _of_animation(path):
    size, turn, times, missing = animation.describe(path)
    look = Shown(size[::-1] if turn[0] else size)
    keys = np.arange(len(times)) == 0
    stream = StreamInfo(0, "webp", *size, "")
    return Index(
        *(str(path), 0, (stream,), "webp", (look,), 1.0, False, (), 0.001, None, times, keys, missing),
        animation_turn=turn,
    )


def _of_frame_folder(path, frame_rate):
    if frame_rate is not None and not 0 < frame_rate < float("inf"):
        raise ValueError(f"frame_rate needs frames/s above 0, got {frame_rate}.")
    size, codec, count = frame_folder.describe(path)
    rate, stream = frame_rate or frame_folder.FRAME_RATE, StreamInfo(0, codec, *size, "")
    notes = (f"a folder of {count} images, read as the frames of a video at {rate:g} frames/s",)
    return Index(
        *(str(path), 0, (stream,), codec, (Shown(size),), 1.0, False, notes, 1 / rate, rate),
        *(np.arange(count), np.ones(count, bool)),
        is_folder=True,
    )


def _timed(index, count, order):
    """The index with frames at the times at which the container has them decoded, where it does not say when they are
    shown: a frame that was left out leaves a gap. Where it does not say that either, they follow each other evenly."""
    if len(order) == count and None not in order and index.time_base and (np.diff(np.array(order)) > 0).all():
        return replace(index, times=np.array(order, np.int64))
    return replace(index, time_base=1 / (index.rate or 25.0), times=np.arange(count, dtype=np.int64))


def _counted(index, deadline, order):
    """Index by decoding everything: for files whose packets do not tell which frames they hold."""
    times, keys, lost, looker, looks = [], [], index.missing, index.looker(), list(index.looks)
    with opened(index.path, index.threads, index.stream) as (container, stream):
        sequence = Sequence(stream.codec_context)
        packets = demuxed(container, stream, deadline)
        for packet in itertools.chain(packets, [None]):
            for frame, _ in sequence(packet):
                if frame is None:
                    lost += 1
                    continue
                times.append(frame.pts)
                keys.append(bool(frame.key_frame))
                look = looker(frame, stream.codec_context)
                if look not in looks and len(looks) < MAX_LOOKS:
                    looks.append(look)
    if lost > len(times):
        raise VideoError(
            index.path,
            f"is damaged: {lost} of {lost + len(times)} frames cannot be decoded.",
            "Copy or download it again.",
        )
    index = replace(
        index,
        looks=tuple(looks),
        missing=lost,
        keys=np.array(keys, bool),
        starts=np.zeros((1, 2), np.int64),
        decoded=True,
    )
    times = np.array([-1 if tick is None else tick for tick in times], np.int64)
    if not index.time_base or (np.diff(times) <= 0).any():
        # Containers such as AVI give no times.
        return _timed(index, len(times), order)
    return replace(index, times=times)


def _absent(stream, size):
    """Frames that the container's index places beyond the end of the file."""
    entries = getattr(stream, "index_entries", None) or ()
    return sum(entry.pos + entry.size > size for entry in entries)
