"""The packets of a video: which frames a file holds, when each is shown, and where decoding can start.

Reading the packets without decoding them is a hundredth of the work of decoding them, and gives exact
timestamps where the container's own claims (frame count, frame rate, duration) are often wrong.
"""

import contextlib
import math
import os
import time
from dataclasses import dataclass

import numpy as np

from tfdeepfake.files import InputError

# A crafted header can claim a picture of any size; 2**27 px is four times 8K and 384 MiB as RGB.
MAX_PIXELS = 2**27
MAX_PACKETS = 4_000_000  # 18 hours at 60 frames/s

# FFmpeg also opens playlists, which name other files and addresses to read. Only containers that hold
# their own pictures are let in.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,gif,ogg,mxf,ivf,h264,hevc,m4v,obu,av1,"
    "rm,dv,nut,mjpeg,yuv4mpegpipe,wtv,swf,vob,svag,apng"
)
# Here each packet is one frame and carries its time, and pictures that no other one needs can be passed over.
INDEXED_CONTAINERS = ("mov", "matroska")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "prores", "dnxhd")


class VideoError(InputError):
    """The file cannot be read as a video: missing, empty, damaged, cut off, audio only, too large, too slow."""


@dataclass(frozen=True, eq=False)
class Index:
    """What reading the packets of a video told.

    Args:
      path: as given.
      codec: name of the codec, e.g. "h264".
      stored_px: (width, height) of a frame as stored, before it is turned.
      turn: (transpose, flip rows, flip columns), which shows a stored frame upright.
      time_base: seconds of one tick.
      rate: frames/s as the container claims it; None when it does not.
      times: int64 [F], ticks at which each frame is shown, ascending.
      keys: bool [F], frames that need no other frame.
      missing: frames that the container announces and the file does not hold.
      packets: None, or the frames in the order of the file: (int64 [P] ticks, bool [P] is a keyframe, bool [P] is
        shown). Without it a frame is found by decoding all before it and counting.
    """

    path: str
    codec: str
    stored_px: tuple
    turn: tuple
    time_base: float
    rate: float | None
    times: np.ndarray
    keys: np.ndarray
    missing: int
    packets: tuple | None


class Deadline:
    """Raises VideoError when more than `limit_s` seconds have passed since it was made; never when None."""

    def __init__(self, path, limit_s):
        if limit_s is not None and not limit_s > 0:
            raise ValueError(f"time_limit_s needs seconds above 0 or None, got {limit_s}.")
        self.path, self.limit_s = path, limit_s
        self.end = math.inf if limit_s is None else time.monotonic() + limit_s

    def check(self):
        if time.monotonic() > self.end:
            raise VideoError(
                self.path,
                f"took longer to read than the limit of {self.limit_s:g} s.",
                "Raise the time limit or cut the video.",
            )


def check_file(path):
    """Raises VideoError when the path is not a file with something in it that may be read."""
    try:
        if os.path.isdir(path):
            raise VideoError(path, "is a folder, not a video.", "Give a file, or a verb that takes folders.")
        with open(path, "rb") as stream:
            if not stream.read(1):
                raise VideoError(path, "is empty (0 bytes).", "Copy or download it again.")
    except FileNotFoundError:
        raise VideoError(path, "does not exist.", "Check the path.") from None
    except OSError as error:
        raise VideoError(path, f"cannot be opened ({error.strerror}).", "Check its permissions.") from None
    except ValueError as error:  # a NUL in the name
        raise VideoError(path, f"is not a path ({error}).", "Check the path.") from None


def _unreadable(path):
    """VideoError that says as exactly as the first bytes allow why FFmpeg cannot open the file."""
    size = os.path.getsize(path)
    with open(path, "rb") as stream:
        head = stream.read(4096)
        boxes, at = [], 0
        while head[4:8] in (b"ftyp", b"mdat", b"free", b"wide", b"skip") and at + 8 <= size and len(boxes) < 1000:
            stream.seek(at)
            length, name = int.from_bytes(stream.read(4), "big"), stream.read(4)
            length = int.from_bytes(stream.read(8), "big") if length == 1 else length
            boxes.append(name)
            if length < 8:
                break
            at += length
    if boxes and b"moov" not in boxes:
        return VideoError(
            path,
            "was cut off, or its recording never finished: the index that an MP4 file needs (moov) is missing.",
            "Copy or download it again.",
        )
    if head.startswith(b"version https://git-lfs"):
        return VideoError(path, "is a git-lfs pointer, not the video itself.", "Run `git lfs pull`.")
    text = head.lstrip()[:200].lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return VideoError(path, "is a web page, not a video.", "Download the video itself.")
    if head.startswith(b"#EXTM3U"):
        return VideoError(path, "is a playlist, which only names a video.", "Download the video itself.")
    if not any(byte < 9 or 13 < byte < 32 for byte in head):
        return VideoError(path, "holds text, not a video.", "Check which file was meant.")
    return VideoError(
        path,
        "is no video that can be read here: unknown format, or damaged at its beginning.",
        "Check that it plays elsewhere; if it does, convert it to H.264 .mp4.",
    )


@contextlib.contextmanager
def opened(path, threads):
    """Yields (av container, av video stream) with decoding set up; both are closed after.

    Raises:
      VideoError: the file cannot be opened or has no video.
    """
    import av

    try:
        # The prefix keeps a name such as "http:x.mp4" a file name.
        container = av.open(
            f"file:{path}",
            metadata_errors="ignore",
            options={"format_whitelist": CONTAINERS, "max_pixels": str(MAX_PIXELS)},
        )
    except (av.error.FFmpegError, OSError, ValueError):
        raise _unreadable(path) from None
    with container:
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            sound = "only sound, no pictures" if container.streams.audio else "no pictures"
            raise VideoError(path, f"holds {sound}.", "Give the file with the video.")
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
        decoder = stream.codec_context
        if decoder is None:
            raise VideoError(path, "is in a codec that cannot be decoded here.", "Convert it to H.264 .mp4.")
        check_pixels(path, decoder.width, decoder.height)
        decoder.options = {"max_pixels": str(MAX_PIXELS)}
        decoder.thread_type, decoder.thread_count = ("AUTO", threads) if threads > 1 else ("SLICE", 1)
        yield container, stream


def check_pixels(path, width, height):
    """Raises VideoError when a frame of this size is more than MAX_PIXELS."""
    if width * height > MAX_PIXELS:
        raise VideoError(
            path,
            f"claims frames of {width} x {height} px; at most {MAX_PIXELS} px are read.",
            "If this is its true size, shrink it first.",
        )


def demuxed(container, stream, deadline):
    """Yields the packets of a stream; ends quietly where the file is cut or damaged beyond reading on."""
    import av

    packets = container.demux(stream)
    for count in range(MAX_PACKETS + 1):
        deadline.check()
        try:
            packet = next(packets, None)
        except av.error.FFmpegError:
            return
        # The last packet of a demuxer only says that there are no more.
        if packet is None or (packet.size == 0 and packet.dts is None):
            return
        if count == MAX_PACKETS:
            raise VideoError(deadline.path, f"holds more than {MAX_PACKETS} frames.", "Cut it into shorter videos.")
        yield packet


def decoded(decoder, packet):
    """Frames that come out when a packet (None: the end) goes in; [] when it cannot be decoded."""
    import av

    try:
        return [frame for frame in decoder.decode(packet) if not frame.is_corrupt]
    except av.error.FFmpegError:
        return []


def _turn(frame):
    """(transpose, flip rows, flip columns) that shows a frame as its display matrix asks."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            # x' = a x + c y and y' = b x + d y (16.16 fixed point); turns between are rounded to the next 90 degrees.
            a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5].tolist()
            if abs(a) >= abs(b):
                return False, d < 0, a < 0
            return True, b < 0, c < 0
    return False, False, False


def turn_degrees(turn):
    """Clockwise degrees of a turn, 0, 90, 180 or 270; that of the first column where it also mirrors."""
    transpose, rows, columns = turn
    if transpose:
        return 270 if rows else 90
    return 180 if columns else 0


def upright(frame, turn):
    """A view of [H, W, ...] with the turn applied."""
    transpose, rows, columns = turn
    if transpose:
        frame = frame.swapaxes(0, 1)
    return frame[:: -1 if rows else 1, :: -1 if columns else 1]


def _absent(stream, size):
    """Frames that the container's index places beyond the end of the file."""
    entries = getattr(stream, "index_entries", None) or ()
    return sum(entry.pos + entry.size > size for entry in entries)


def read_index(path, deadline):
    """Reads all packets of a file, decoding until the first frame comes out, and all where that is needed to count.

    Returns:
      Index.
    Raises:
      VideoError: not a video, no frame of it can be decoded, or less than half of it is there.
    """
    times, keys, shown, first = [], [], [], None
    with opened(path, threads=1) as (container, stream):
        decoder = stream.codec_context
        for packet in demuxed(container, stream, deadline):
            if packet.is_corrupt:
                continue  # the file ends inside it
            times.append(packet.pts)
            keys.append(packet.is_keyframe)
            shown.append(not packet.is_discard)
            if first is None:
                first = next(iter(decoded(decoder, packet)), None)
        if first is None:
            first = next(iter(decoded(decoder, None)), None)
        absent = _absent(stream, os.path.getsize(path)) if container.format.name.startswith("mov") else 0
        kind = container.format.name.split(",")[0]
        codec = decoder.codec.canonical_name
        time_base = float(stream.time_base or 0)
        rate = float(stream.average_rate or 0) or None
    if absent > sum(shown):
        raise VideoError(
            path, f"was cut off: {sum(shown)} of {absent + sum(shown)} frames are there.", "Copy or download it again."
        )
    if first is None:
        raise VideoError(
            path,
            f"holds no frame that can be decoded ({len(times)} packets, codec {codec}).",
            "It is damaged: copy or download it again.",
        )
    check_pixels(path, first.width, first.height)
    known = {
        "path": str(path),
        "codec": codec,
        "stored_px": (first.width, first.height),
        "turn": _turn(first),
        "time_base": time_base,
        "rate": rate,
        "missing": absent,
    }
    del first
    if kind in INDEXED_CONTAINERS and codec in INDEXED_CODECS and time_base and _is_plain(times, keys, shown):
        ticks = np.array([0 if tick is None else tick for tick in times], np.int64)
        keys, shown = np.array(keys), np.array(shown)
        order = np.argsort(ticks[shown], kind="stable")
        return Index(times=ticks[shown][order], keys=keys[shown][order], packets=(ticks, keys, shown), **known)
    return _count(known, deadline)


def _is_plain(times, keys, shown):
    """Whether every shown packet is one frame with a time of its own that can be decoded from a keyframe."""
    ticks = [tick for tick, seen in zip(times, shown, strict=True) if seen]
    # Pictures shown before the first keyframe may need pictures that were cut away: only decoding tells.
    return (
        bool(ticks)
        and None not in ticks
        and len(set(ticks)) == len(ticks)
        and keys[0]
        and times[0] is not None
        and min(ticks) >= (times[0] if shown[0] else min(ticks))
    )


def _count(known, deadline):
    """Index by decoding everything: for files whose packets do not tell which frames they hold."""
    times, keys = [], []
    with opened(known["path"], THREADS) as (container, stream):
        for frame in _sequence(container, stream, deadline):
            times.append(frame.pts)
            keys.append(bool(frame.key_frame))
    times = np.array([-1 if tick is None else tick for tick in times], np.int64)
    if len(times) > 1 and not (np.diff(times) > 0).all() or not known["time_base"]:
        # Containers such as AVI give no times: the frames follow each other evenly.
        known = known | {"time_base": 1 / (known["rate"] or 25.0)}
        times = np.arange(len(times))
    return Index(times=times, keys=np.array(keys, bool), packets=None, **known)


def _sequence(container, stream, deadline):
    """Yields every frame that can be decoded, in the order shown."""
    for packet in demuxed(container, stream, deadline):
        if not packet.is_corrupt:
            yield from decoded(stream.codec_context, packet)
    yield from decoded(stream.codec_context, None)


# Frame threads hold a picture each; more than four gain little and cost memory.
THREADS = min(4, os.cpu_count() or 1)


def frames(index, wanted, deadline):
    """Decodes a video.

    Args:
      index: `Index` of the file.
      wanted: int [n] positions in `index.times`, ascending and unique; None for all.
      deadline: `Deadline`.
    Yields:
      (position, av.VideoFrame) for every wanted frame that can be decoded, in ascending order of position.
    """
    if wanted is not None and not len(wanted):
        return
    if index.packets is None:
        chosen = None if wanted is None else set(np.asarray(wanted).tolist())
        with opened(index.path, THREADS) as (container, stream):
            for position, frame in enumerate(_sequence(container, stream, deadline)):
                if chosen is None or position in chosen:
                    yield position, frame
                if wanted is not None and position >= wanted[-1]:
                    return
        return
    yield from _indexed_frames(index, wanted, deadline)


def _needed(index, wanted):
    """bool [P]: packets that have to be decoded for the wanted frames."""
    ticks, keys, _ = index.packets
    starts = np.flatnonzero(keys)
    needed = np.zeros(len(ticks), bool)
    place = {tick: at for at, tick in enumerate(ticks.tolist())}
    for tick in index.times[wanted].tolist():
        at = place[tick]
        # A picture that is shown before the keyframe it follows in the file needs the group before as well.
        before = starts[(starts <= at) & (ticks[starts] <= tick)]
        needed[before[-1] if len(before) else 0 : at + 1] = True
    return needed


def _indexed_frames(index, wanted, deadline):
    position = {tick: at for at, tick in enumerate(index.times.tolist())}
    everything = wanted is None
    chosen = None if everything else set(index.times[wanted].tolist())
    needed = None if everything else _needed(index, wanted)
    with opened(index.path, THREADS) as (container, stream):
        decoder, fed, left = stream.codec_context, False, None if everything else len(chosen)
        at = -1
        for packet in demuxed(container, stream, deadline):
            if packet.is_corrupt:
                continue
            at += 1
            if everything or needed[at]:
                if not everything:
                    # Pictures that no other one refers to need not be decoded: half of all where there are B-frames.
                    decoder.skip_frame = "DEFAULT" if packet.pts in chosen else "NONREF"
                out, fed = decoded(decoder, packet), True
            elif fed:
                out, fed = decoded(decoder, None), False
                decoder.flush_buffers()
            else:
                continue
            for frame in out:
                if frame.pts in (position if everything else chosen):
                    yield position[frame.pts], frame
                    left = None if everything else left - 1
            if left == 0:
                return
        for frame in decoded(decoder, None):
            if frame.pts in (position if everything else chosen):
                yield position[frame.pts], frame
