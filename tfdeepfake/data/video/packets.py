"""The packets of a video: which frames a file holds, when each is shown, and where decoding can start.

Reading the packets without decoding them is a small part of the work of decoding them, and gives exact
timestamps where the container's own claims (frame count, frame rate, duration) are often wrong.
"""

import contextlib
import os
from dataclasses import dataclass

import numpy as np

from tfdeepfake.data.video.check import MAX_PIXELS, VideoError, check_pixels, unreadable

MAX_PACKETS = 2_000_000  # nine hours at 60 frames/s

# FFmpeg also opens playlists, which name other files and addresses to read. Only containers that hold
# their own images are let in.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,gif,ogg,mxf,ivf,h264,hevc,m4v,obu,av1,"
    "rm,dv,nut,mjpeg,yuv4mpegpipe,wtv"
)
# Here each packet is one frame that carries its time.
INDEXED_CONTAINERS = ("mov", "matroska")
INDEXED_CODECS = ("h264", "hevc", "vp9", "av1", "mjpeg", "mpeg4", "prores", "dnxhd")

# Every decoding thread holds images; more than four gain little.
THREADS = min(4, os.cpu_count() or 1)


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
      missing: frames that the container announces and the file does not hold, and (without `packets`) frames
        that cannot be decoded.
      packets: None, or the packets in the order of the file: (int64 [P] ticks, bool [P] is a keyframe, bool [P] is
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
        raise unreadable(path) from None
    with container:
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            sound = "only sound, no images" if container.streams.audio else "no images"
            raise VideoError(path, f"holds {sound}.", "Give the file with the video.")
        best = container.streams.best("video")
        stream = best if best in streams else streams[0]
        decoder = stream.codec_context
        if decoder is None:
            raise VideoError(path, "is in a codec that cannot be decoded here.", "Convert it to H.264 .mp4.")
        check_pixels(path, decoder.width, decoder.height)
        # Without "explode" a damaged HEVC frame goes missing without an error. H.264 marks its damaged frames itself.
        strict = {"err_detect": "explode"} if decoder.codec.canonical_name == "hevc" else {}
        decoder.options = {"max_pixels": str(MAX_PIXELS)} | strict
        decoder.thread_type, decoder.thread_count = ("AUTO", threads) if threads > 1 else ("SLICE", 1)
        yield container, stream


def demuxed(container, stream, deadline):
    """Yields the whole packets of a stream; ends quietly where the file is cut or damaged beyond reading on."""
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
        if not packet.is_corrupt:  # the file ends inside such a packet
            yield packet


def decoded(decoder, packet):
    """(frames that come out when a packet (None: the end) goes in, whether an error came out instead)."""
    import av

    try:
        return decoder.decode(packet), False
    except av.error.FFmpegError:
        return [], True


def sequence(container, stream, deadline):
    """Yields (frame, doubtful) for every frame, in the order shown; the frame is None where it cannot be decoded.

    A frame is doubtful when one before it, since the last keyframe, could not be decoded.
    """
    doubtful = False
    packets = demuxed(container, stream, deadline)
    while True:
        packet = next(packets, None)
        frames, failed = decoded(stream.codec_context, packet)
        if failed:
            doubtful = True
            yield None, True
        for frame in frames:
            doubtful = frame.is_corrupt or (doubtful and not frame.key_frame)
            yield (None if frame.is_corrupt else frame), doubtful
        if packet is None:
            return


def read_index(path, deadline):
    """Reads all packets of a file, decoding until the first frame comes out, and all where that is needed to count.

    Args:
      path: a file that `media_file.check_file` has passed.
      deadline: `media_file.Deadline`.
    Returns:
      Index.
    Raises:
      VideoError: not a video, no frame of it can be decoded, or less than half of it is there.
    """
    ticks, keys, shown, first, plain = [], [], [], None, True
    with opened(path, threads=1) as (container, stream):
        decoder = stream.codec_context
        codec = decoder.codec.canonical_name
        for packet in demuxed(container, stream, deadline):
            ticks.append(packet.pts)
            keys.append(packet.is_keyframe)
            shown.append(not packet.is_discard)
            if codec == "mpeg4" and plain:
                plain = _is_one_image(packet)
            if first is None:
                first = _first_whole(decoder, packet)
        first = first or _first_whole(decoder, None)
        kind = container.format.name.split(",")[0]
        absent = _absent(stream, os.path.getsize(path)) if kind == "mov" else 0
        time_base, rate = float(stream.time_base or 0), float(stream.average_rate or 0) or None
    if absent > sum(shown):
        raise VideoError(
            path, f"was cut off: {sum(shown)} of {absent + sum(shown)} frames are there.", "Copy or download it again."
        )
    if first is None:
        raise VideoError(
            path,
            f"holds no frame that can be decoded ({len(ticks)} packets, codec {codec}).",
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
    if kind in INDEXED_CONTAINERS and codec in INDEXED_CODECS and time_base and plain and _is_plain(ticks, keys, shown):
        ticks, keys, shown = np.array([tick or 0 for tick in ticks], np.int64), np.array(keys), np.array(shown)
        order = np.argsort(ticks[shown], kind="stable")
        return Index(times=ticks[shown][order], keys=keys[shown][order], packets=(ticks, keys, shown), **known)
    return _counted(known, deadline)


def _first_whole(decoder, packet):
    return next((frame for frame in decoded(decoder, packet)[0] if not frame.is_corrupt), None)


def _is_one_image(packet):
    """Whether a packet of MPEG-4 part 2 holds one image: not two packed together, nor a "repeat the last"."""
    return packet.size > 7 and bytes(packet).count(b"\0\0\1\xb6") == 1


def _is_plain(ticks, keys, shown):
    """Whether every shown packet is a frame with a time of its own that can be decoded from a keyframe."""
    seen = [tick for tick, is_shown in zip(ticks, shown, strict=True) if is_shown]
    if not seen or None in seen or len(set(seen)) < len(seen) or not keys[0] or ticks[0] is None:
        return False
    # Frames shown before the first keyframe may need images that were cut away: only decoding tells.
    return not shown[0] or min(seen) >= ticks[0]


def _counted(known, deadline):
    """Index by decoding everything: for files whose packets do not tell which frames they hold."""
    times, keys, lost = [], [], known["missing"]
    with opened(known["path"], THREADS) as (container, stream):
        for frame, _ in sequence(container, stream, deadline):
            if frame is None:
                lost += 1
            else:
                times.append(frame.pts)
                keys.append(bool(frame.key_frame))
    if lost > len(times):
        raise VideoError(
            known["path"],
            f"is damaged: {lost} of {lost + len(times)} frames cannot be decoded.",
            "Copy or download it again.",
        )
    known = known | {"missing": lost}
    times = np.array([-1 if tick is None else tick for tick in times], np.int64)
    if not known["time_base"] or (np.diff(times) <= 0).any():
        # Containers such as AVI give no times: the frames follow each other evenly.
        known = known | {"time_base": 1 / (known["rate"] or 25.0)}
        times = np.arange(len(times))
    return Index(times=times, keys=np.array(keys, bool), packets=None, **known)


def _absent(stream, size):
    """Frames that the container's index places beyond the end of the file."""
    entries = getattr(stream, "index_entries", None) or ()
    return sum(entry.pos + entry.size > size for entry in entries)


def _turn(frame):
    """(transpose, flip rows, flip columns) that shows a frame as its display matrix asks."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            # x' = a x + c y and y' = b x + d y (16.16 fixed point); other angles are rounded to the next 90 degrees.
            a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5].tolist()
            if abs(a) >= abs(b):
                return False, d < 0, a < 0
            return True, b < 0, c < 0
    return False, False, False


def turn_degrees(turn):
    """Clockwise degrees of a turn, 0, 90, 180 or 270; where it also mirrors, those of the image's top edge."""
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
