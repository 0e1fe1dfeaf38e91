"""Reads the packets of a video: which frames a file holds, when each is shown, and where decoding can start.

Reading the packets without decoding them is a small part of the work of decoding them, and gives exact
timestamps where the container's own claims (frame count, frame rate, duration) are often wrong.
"""

import itertools
import os
from dataclasses import dataclass, replace

import numpy as np

from tfdeepfake.data.video import animation, frame_folder, headers
from tfdeepfake.data.video.check import VideoError, check_pixels, encrypted
from tfdeepfake.data.video.encrypted import encryption
from tfdeepfake.data.video.packets import THREADS, Sequence, StreamInfo, decoded, demuxed, listed, opened, video_streams
from tfdeepfake.data.video.shown import Looker, Shown, container_aspect

# Here each packet is one frame that carries its time.
INDEXED_CONTAINERS = ("mov", "matroska")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "mpeg4", "prores", "dnxhd")
# And here, where the beginning of the file, decoded, bears it out.
TRIED_CODECS = (*INDEXED_CODECS, "vp8", "mpeg2video", "mpeg1video", "dvvideo", "rawvideo")
TRIED_CONTAINERS = (
    *INDEXED_CONTAINERS,
    *(
        "mpegts",
        "mpeg",
        "mpegvideo",
        "flv",
        "mxf",
        "ivf",
        "obu",
        "nut",
        "dv",
        "mjpeg",
        "mpjpeg",
        "jpeg_pipe",
        "yuv4mpegpipe",
    ),
)
# AVI numbers packets as they are stored, which is how they are shown where none refers to a later one.
IN_ORDER = ("mjpeg", "dvvideo", "rawvideo", "mpeg4")
TRIED_PACKETS = 48  # longer than any reordering of frames
# Streams without any container carry no times: their frames are counted from places that decoding can start at.
RAW_CONTAINERS = ("h264", "hevc")

# Types of the slices of frames at which decoding can start, and of those that are shown before such a frame
# (ITU-T H.264 and H.265, tables 7-1).
IDR_H264, IDR_HEVC, OPEN_HEVC = 5, (19, 20), (16, 17, 18, 21)
LEADING_HEVC, DROPPED_HEVC = (6, 7, 8, 9), (8, 9)
MAX_LOOKS = 32


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

    def looker(self):
        """A new `shown.Looker` for the frames of the file."""
        return Looker(self.pixel_aspect, self.codec, {look.pixel_aspect for look in self.looks})


def read_index(path, deadline, number=None, frame_rate=None):
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
        reading = _Reading(container, stream, deadline)
        kind, streams = reading.kind, listed(container)
        absent = _absent(stream, os.path.getsize(path)) if kind == "mov" else 0
        number = video_streams(container).index(stream)
        # Streams without a container state their rate in their parameter sets alone.
        rate = stream.guessed_rate if reading.raw else stream.average_rate
        time_base, rate = float(stream.time_base or 0), float(rate or 0) or None
        whole = sum(reading.shown)
        packets, starts = reading.packets(), reading.starts()
    if absent > whole:
        raise VideoError(
            path, f"was cut off: {whole} of {absent + whole} frames are there.", "Copy or download it again."
        )
    if not reading.looks:
        name = encryption(path)
        if name:
            raise encrypted(path, name)
        raise VideoError(
            path,
            f"holds no frame that can be decoded ({len(reading.ticks)} packets, codec {reading.codec}).",
            "It is damaged: copy or download it again.",
        )
    check_pixels(path, *reading.looks[0].px)
    index = Index(
        str(path),
        number,
        streams,
        reading.codec,
        tuple(reading.looks),
        reading.looker.pixel_aspect,
        reading.interlaced,
        reading.notes,
        time_base,
        rate,
        missing=absent,
    )
    if packets is not None:
        ticks, keys, shown = packets
        order = np.argsort(ticks[shown], kind="stable")
        return replace(index, times=ticks[shown][order], keys=keys[shown][order], packets=packets)
    if starts is not None:
        # Which position a keyframe has is only known where decoding can start.
        keys = np.zeros(whole, bool)
        keys[starts[:, 1]] = True
        return _evenly(replace(index, keys=keys, starts=starts), whole)
    return _counted(index, deadline)


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


class _Reading:
    """One pass over the packets of a stream, which decodes the first of them and those with new headers."""

    def __init__(self, container, stream, deadline):
        self.decoder = stream.codec_context
        self.kind, self.codec = container.format.name.split(",")[0], self.decoder.codec.canonical_name
        self.raw = self.kind in RAW_CONTAINERS
        self.trusted = self.kind in INDEXED_CONTAINERS and self.codec in INDEXED_CODECS
        self.lengths = headers.nal_lengths(self.codec, self.decoder.extradata)
        self.looker = Looker(container_aspect(container, stream), self.codec)
        self.looks, self.notes, self.interlaced = [], (), False
        self.ticks, self.order, self.keys, self.shown, self.slices = [], [], [], [], []
        known = (*TRIED_CONTAINERS, *RAW_CONTAINERS, *(("avi",) if self.codec in IN_ORDER else ()))
        self.plain = self.codec in TRIED_CODECS and self.kind in known
        self.doubted = self.plain and not self.trusted
        self.out, self.tried, self.start = [], 0, None
        trying, signatures = True, set()
        for packet in demuxed(container, stream, deadline):
            if packet.has_sidedata("encryption_info"):
                raise encrypted(deadline.path, encryption(deadline.path) or "Common Encryption")
            self._note(packet)
            signature = headers.signature(self.codec, packet, self.lengths) if packet.is_keyframe else None
            is_new = signature is not None and signature not in signatures and len(signatures) < MAX_LOOKS
            if is_new:
                signatures.add(signature)
            if trying:
                self._take(decoded(self.decoder, packet)[0])
                self.tried += 1
                trying = not self.looks or self._has_to_go_on()
                if not trying:
                    self._end()
            elif is_new:
                # A keyframe is decoded alone: what went before does not matter.
                self._take(decoded(self.decoder, packet)[0], tried=False)
                self._end(tried=False)
        if trying:
            self._end()

    def _note(self, packet):
        """Writes down what a packet tells by itself."""
        shown = not packet.is_discard and headers.is_shown(self.codec, packet)
        if self.start is None and packet.is_keyframe:
            self.start = len(self.ticks)
        # A frame that is shown before the first keyframe may need others that were cut away: only decoding tells.
        first = self.ticks[0] if self.ticks else packet.pts
        early = shown and packet.pts is not None and first is not None and packet.pts < first
        self.doubted = self.doubted or (self.plain and (self.start is None or (early and self.shown[0])))
        self.ticks.append(packet.pts)
        self.order.append(packet.dts)
        self.keys.append(packet.is_keyframe)
        self.shown.append(shown)
        if self.raw:
            self.slices.append(headers.first_slice(self.codec, packet, self.lengths))
        if self.codec == "mpeg4" and self.plain:
            self.plain = _is_one_image(packet, self.kind != "avi")

    def _has_to_go_on(self):
        return self.doubted and (self.start is None or self.tried <= self.start + TRIED_PACKETS)

    def _take(self, frames, tried=True):
        for frame in frames:
            if frame.is_corrupt:
                continue
            look = self.looker(frame, self.decoder)
            if not self.looks:
                self.interlaced = frame.interlaced_frame and not look.is_field
                self.notes = tuple(_notes(self.looker.side_data(frame), look))
            if look not in self.looks:
                self.looks.append(look)
            if tried:
                self.out.append(frame.pts)

    def _end(self, tried=True):
        self._take(decoded(self.decoder, None)[0], tried)
        self.decoder.flush_buffers()

    def packets(self):
        """`Index.packets`; None where packets and frames do not match."""
        told = [tick for tick, shown in zip(self.ticks, self.shown, strict=True) if shown]
        if not self.plain or self.raw or not told or None in told or self.ticks[0] is None:
            return None
        if self.doubted and self._has_to_go_on() and self.tried < len(self.ticks):
            return None
        ticks = np.array([tick or 0 for tick in self.ticks], np.int64)
        keys, shown = np.array(self.keys), np.array(self.shown)
        if self.doubted:
            lost = self._lost()
            ticks = None if lost is None else _steady(ticks, self.order)
            if ticks is None:
                return None
            shown[lost] = False
        distinct = len(np.unique(ticks[shown])) == shown.sum() > 0
        return (ticks, keys, shown) if distinct else None

    def _lost(self):
        """Packets at the beginning whose frames cannot be decoded; None when what came out does not match."""
        given = self.ticks[: self.tried]
        lost = [place for place in range(self.tried) if self.shown[place] and given[place] not in set(self.out)]
        start = len(given) if self.start is None else self.start
        leads = all(place < start or given[place] < given[start] for place in lost)
        matches = len(set(self.out)) == len(self.out) and set(self.out) <= set(given)
        return lost if leads and matches else None

    def starts(self):
        """`Index.starts` of a raw stream; None where packets and frames do not match."""
        if not self.raw or len(self.out) != self.tried or None in self.slices:
            return None
        starts = []
        for place, kind in enumerate(self.slices):
            if self.codec == "h264" and kind == IDR_H264:
                starts.append((place, place))
            if self.codec == "hevc" and kind in (*IDR_HEVC, *OPEN_HEVC):
                # Leading frames that refer to what went before are dropped when decoding starts here.
                after = self.slices[place + 1 :]
                leading = next((n for n, later in enumerate(after) if later not in LEADING_HEVC), len(after))
                dropped = sum(later in DROPPED_HEVC for later in after[:leading])
                starts.append((place, place + (dropped if kind in OPEN_HEVC else 0)))
        return np.array(starts, np.int64) if starts and starts[0] == (0, 0) else None


def _steady(ticks, order):
    """Ticks that go on where the clock of a transport stream starts again; None where packets have no order."""
    # The first packets before frames that are shown out of order have no time of their own.
    first = next((place for place, tick in enumerate(order) if tick is not None), len(order))
    if None in order[first:]:
        return None
    steps = np.diff(np.array(order[first:], np.int64))
    usual = int(np.median(steps)) if len(steps) else 1
    # Within a stream, time neither stands nor goes back, nor does it leap by minutes.
    leaps = (steps <= 0) | (steps > 10_000 * max(usual, 1))
    if not leaps.any():
        return ticks
    return ticks + np.concatenate([np.zeros(first + 1, np.int64), np.cumsum(np.where(leaps, usual - steps, 0))])


def _is_one_image(packet, may_refer_ahead):
    """Whether a packet of MPEG-4 part 2 holds one image: not two packed together, nor a "repeat the last"."""
    data = bytes(packet)
    if len(data) < 8 or data.count(b"\0\0\1\xb6") != 1:
        return False
    kind = data[min(data.index(b"\0\0\1\xb6") + 4, len(data) - 1)] >> 6
    return kind != 2 or may_refer_ahead  # 2: a B-frame


_PROJECTIONS = {
    0: "equirectangular",
    1: "cube map",
    2: "equirectangular tiles",
    3: "half equirectangular",
    5: "fisheye",
}


def _notes(side_data, look):
    """What a viewer should know of the file, from what accompanies its first frame."""
    for kind, data in side_data:
        number = int.from_bytes(data[:4], "little")
        if kind == "SPHERICAL":
            yield f"a 360-degree video ({_PROJECTIONS.get(number, 'other')} projection): faces in it are distorted"
        elif kind == "STEREO3D" and look.view:
            where = "side by side" if look.view == "left" else "one above the other"
            yield f"a 3D video with two views {where}: the {look.view} one is read"
        elif kind == "STEREO3D" and number:
            yield "a 3D video: one of its two views is read"
        elif kind == "DOVI_METADATA":
            yield "a Dolby Vision video: its base layer is read"
    if look.is_field:
        yield "a video coded in fields: each field is read as a frame"


def _evenly(index, count):
    """The index with frames that follow each other evenly, where the container gives no times."""
    return replace(index, time_base=1 / (index.rate or 25.0), times=np.arange(count, dtype=np.int64))


def _counted(index, deadline):
    """Index by decoding everything: for files whose packets do not tell which frames they hold."""
    times, keys, lost, looker, looks = [], [], index.missing, index.looker(), list(index.looks)
    with opened(index.path, THREADS, index.stream) as (container, stream):
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
        return _evenly(index, len(times))
    return replace(index, times=times)


def _absent(stream, size):
    """Frames that the container's index places beyond the end of the file."""
    entries = getattr(stream, "index_entries", None) or ()
    return sum(entry.pos + entry.size > size for entry in entries)
