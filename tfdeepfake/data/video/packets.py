"""A video file's streams and packets, and what comes out of the decoder when they go in."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tfdeepfake.data.video.check import MAX_PIXELS, VideoError, check_pixels, damaged, encrypted, unreadable
from tfdeepfake.data.video.encrypted import encryption
from tfdeepfake.data.video.heif_boxes import MOVING_BRANDS, STILL_BRANDS

if TYPE_CHECKING:
    import av

    from tfdeepfake.data.video.check import Deadline


MAX_PACKETS = 2_000_000  # nine hours at 60 frames/s

# FFmpeg also opens playlists, which name other files and addresses to read. Only containers that hold
# their own images are let in.
CONTAINERS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,gif,apng,ogg,mxf,ivf,h264,hevc,m4v,obu,av1,"
    "rm,dv,nut,mjpeg,mpjpeg,jpeg_pipe,yuv4mpegpipe,wtv"
)

# Every decoding thread holds frames; more than four gain little.
THREADS = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class StreamInfo:
    """One of the videos in a file.

    Args:
      number: from 0, among the videos of the file; cover images are not counted.
      codec, width, height: as the container states them; before rotation.
      title: what the container calls it, with its language; "" for nothing.
    """

    number: int
    codec: str
    width: int
    height: int
    title: str


@contextlib.contextmanager
def opened(path: str | Path, threads: int, number: int | None = None) -> Iterator[tuple]:
    """Yields (av container, av video stream) with decoding set up; both are closed after.

    Args:
      number: of the video stream (see `StreamInfo`); None for the one that players show.

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
        streams = video_streams(container)
        if not streams:
            sound = "only sound, no images" if container.streams.audio else "no images"
            raise damaged(path, f"holds {sound}.", "Give the file with the video.")
        if number is not None and not 0 <= number < len(streams):
            raise VideoError(
                path, f"has no video stream {number}.", f"Give a number from 0 to {len(streams) - 1}, or none."
            )
        best = container.streams.best("video")
        stream = streams[number] if number is not None else best if best in streams else streams[0]
        decoder = stream.codec_context
        if decoder is None:
            name = encryption(path)
            if name:
                raise encrypted(path, name)
            raise damaged(path, "is in a codec that cannot be decoded here.", "Convert it to H.264 .mp4.")
        check_pixels(path, decoder.width, decoder.height)
        # Without "explode" a damaged HEVC frame goes missing without an error. H.264 marks its damaged frames itself.
        strict = {"err_detect": "explode"} if decoder.codec.canonical_name == "hevc" else {}
        decoder.options = {"max_pixels": str(MAX_PIXELS)} | strict
        decoder.thread_type, decoder.thread_count = ("AUTO", threads) if threads > 1 else ("SLICE", 1)
        yield container, stream


def video_streams(container: "av.container.InputContainer") -> list:
    """The streams of a container that hold a video: no cover images, no thumbnails, no parts of a tiled image."""
    import av

    kinds = av.stream.Disposition
    other = kinds.attached_pic | kinds.timed_thumbnails | kinds.dependent
    streams = [stream for stream in container.streams.video if not stream.disposition & other]
    if container.metadata.get("major_brand", "").encode() in (*MOVING_BRANDS, *STILL_BRANDS):
        # An animated AVIF or HEIC file also shows its first frame as a still image, and its transparency as a video.
        moving = [stream for stream in streams if stream.duration is not None or stream.frames != 1]
        coloured = [
            stream for stream in moving if not (stream.codec_context and stream.pix_fmt or "").startswith("gray")
        ]
        streams = coloured or moving or streams
    return streams


def listed(container: "av.container.InputContainer") -> tuple:
    """`StreamInfo` of each of `video_streams`."""
    infos = []
    for number, stream in enumerate(video_streams(container)):
        decoder, named = stream.codec_context, {key.lower(): text for key, text in stream.metadata.items()}
        language = named.get("language", "")
        words = (named.get("title", ""), language if language != "und" else "")
        codec, size = (
            (decoder.codec.canonical_name, (decoder.width, decoder.height)) if decoder else ("unknown", (0, 0))
        )
        infos.append(StreamInfo(number, codec, *size, ", ".join(word for word in words if word)))
    return tuple(infos)


def demuxed(
    container: "av.container.InputContainer", stream: "av.VideoStream", deadline: "Deadline"
) -> "Iterator[av.Packet]":
    """Yields the whole packets of a stream; ends quietly where the file is cut or damaged beyond reading on."""
    import av

    packets, unpacked = container.demux(stream), _unpacker(container, stream)
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
        # The file ends inside a corrupt packet. In a transport stream, parts may be missing, or only seem to be.
        if not packet.is_corrupt or container.format.name == "mpegts":
            yield from unpacked(packet)


def _unpacker(container, stream):
    """A function of a packet that gives packets of one image each: DivX and Xvid put two into one in AVI, and nothing
    into the next (packed bitstream)."""
    from av.bitstream import BitStreamFilterContext

    if container.format.name != "avi" or stream.codec_context.codec.canonical_name != "mpeg4":
        return lambda packet: [packet]
    return BitStreamFilterContext("mpeg4_unpack_bframes", stream).filter


def decoded(decoder: "av.CodecContext", packet: "av.Packet | None") -> tuple[list, bool]:
    """(frames that come out when a packet (None: the end) goes in, whether an error came out instead)."""
    import av

    try:
        return decoder.decode(packet), False
    except av.error.FFmpegError:
        return [], True


class Sequence:
    """Decodes packets one after another and tells of every frame whether it can be relied on."""

    def __init__(self, decoder):
        self.decoder, self.doubtful = decoder, False

    def __call__(self, packet: "av.Packet | None") -> Iterator[tuple]:
        """Yields (frame, doubtful) for what comes out when a packet (None: the end) goes in; the frame is None where it
        cannot be decoded. A frame is doubtful when one before it, since the last keyframe, could not be decoded."""
        frames, failed = decoded(self.decoder, packet)
        if failed:
            self.doubtful = True
            yield None, True
        for frame in frames:
            self.doubtful = frame.is_corrupt or (self.doubtful and not frame.key_frame)
            yield (None if frame.is_corrupt else frame), self.doubtful
