"""Makes small videos and broken files for tests."""

from fractions import Fraction

import av
import numpy as np

BITS = 12


def moving_frames(count, height=96, width=128, seed=0):
    """uint8 RGB [count, height, width, 3]: smooth colours that drift; the frame's number stands in a strip of blocks
    at the top, which survives compression (see `frame_number`)."""
    rng = np.random.default_rng(seed)
    phases, speeds = rng.uniform(0, 2 * np.pi, (2, 3, 2)), rng.uniform(0.02, 0.12, 3)
    y, x = np.mgrid[:height, :width] / max(height, width)
    frames = np.empty((count, height, width, 3), np.uint8)
    for t in range(count):
        for c in range(3):
            wave = np.sin(7 * x + phases[0, c, 0] + speeds[c] * t) + np.sin(9 * y + phases[1, c, 1] - speeds[c] * t)
            frames[t, ..., c] = np.rint(128 + 50 * wave)
        frames[t] = write_number(frames[t], t)
    return frames


def write_number(frame, number):
    """A copy of a frame with a number of at most 12 bits written into its top rows."""
    frame = frame.copy()
    side = frame.shape[1] // BITS
    for bit in range(BITS):
        frame[: max(4, side), bit * side : (bit + 1) * side] = 255 if number >> bit & 1 else 0
    return frame


def frame_number(frame):
    """The number that `write_number` wrote into a frame, also after lossy compression and shrinking."""
    side = frame.shape[1] // BITS
    top = frame[1 : max(4, side) - 1].mean(axis=(0, 2))
    blocks = [top[bit * side + side // 4 : (bit + 1) * side - side // 4].mean() for bit in range(BITS)]
    return sum(int(block > 127) << bit for bit, block in enumerate(blocks))


def make_video(
    path,
    frames,
    fps=25,
    codec="libx264",
    pix_fmt="yuv420p",
    ticks=None,
    time_base=None,
    rotation_deg=0,
    colorspace=None,
    full_range=None,
    pixel_aspect=None,
    fields=None,
    sound=False,
    container_options=None,
    **options,
):
    """Writes a video with settings that `video.write_video` does not offer.

    Args:
      path: the suffix chooses the container.
      frames: uint8 RGB [T, H, W, 3], or arrays in `pix_fmt` where that is "gray".
      ticks: time of each frame in units of `time_base`, for a variable frame rate.
      colorspace: 1 for BT.709, 6 for BT.601; written into the file, and used to convert.
      full_range: True or False, written into the file, and used to convert.
      pixel_aspect: width and height of a pixel, e.g. (64, 45).
      fields: "tff" or "bff": the frames are interlaced, with the top or the bottom field first.
      sound: adds a second of a tone.
      options: of the encoder, e.g. bf="3", g="12".
    Returns:
      path.
    """
    rate = Fraction(fps).limit_denominator(10**5)
    with av.open(str(path), "w", options=container_options or {}) as container:
        # FFmpeg's own options have underscores, those of the encoders' libraries dashes.
        dashed = {name: name if name == "sc_threshold" else name.replace("_", "-") for name in options}
        chosen = {dashed[name]: str(value) for name, value in options.items()}
        stream = container.add_stream(codec, rate=rate, options=chosen)
        stream.codec_context.thread_count = 1
        tone = container.add_stream("aac", rate=44100) if sound else None
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if time_base:
            stream.codec_context.time_base = Fraction(time_base)
        if rotation_deg:
            stream.set_display_rotation(-rotation_deg)
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(*pixel_aspect)
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if full_range is not None:
            stream.codec_context.color_range = 2 if full_range else 1
        for number, frame in enumerate(frames):
            source = "rgb24" if frame.ndim == 3 and frame.shape[2] == 3 else "rgba" if frame.ndim == 3 else "gray"
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=source)
            if source != pix_fmt:
                image = image.reformat(
                    format=pix_fmt,
                    dst_colorspace=colorspace,
                    dst_color_range=None if full_range is None else 2 if full_range else 1,
                )
            if fields:
                image = _marked(image, fields)
            image.pts = number if ticks is None else int(ticks[number])
            image.time_base = Fraction(time_base) if time_base else 1 / rate
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
        if sound:
            _add_tone(container, tone)
    return path


def _marked(image, fields):
    graph = av.filter.Graph()
    size = {"width": image.width, "height": image.height, "format": image.format, "time_base": Fraction(1, 25)}
    graph.link_nodes(graph.add_buffer(**size), graph.add("setfield", fields), graph.add("buffersink"))
    graph.configure()
    graph.push(image)
    return graph.pull()


def _add_tone(container, stream):
    samples = (0.2 * np.sin(2 * np.pi * 440 * np.arange(44032) / 44100)).astype(np.float32)
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_sound(path):
    """Writes a file that holds only sound."""
    with av.open(str(path), "w") as container:
        _add_tone(container, container.add_stream("aac", rate=44100, layout="mono"))
    return path


def join(paths, path):
    """Writes the packets of videos of one codec behind each other, each with its own parameter sets."""
    with av.open(str(path), "w") as container:
        out, start = None, 0
        for source in paths:
            with av.open(str(source)) as given:
                stream = given.streams.video[0]
                out = out or container.add_stream_from_template(stream)
                end = start
                for packet in given.demux(stream):
                    if packet.dts is not None:
                        packet.stream, packet.pts, packet.dts = out, packet.pts + start, packet.dts + start
                        end = max(end, packet.pts + packet.duration)
                        container.mux(packet)
            start = end
    return path


def graded(drawn, transfer, wide=True):
    """uint16 RGB as a grader would store ordinary frames in HDR: white at 203 cd/m2 (ITU-R BT.2408)."""
    value = drawn / 255.0
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    if wide:
        light = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    nits = 203 * light
    if transfer == 16:
        power = (nits / 10000) ** 0.1593017578125
        value = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    elif transfer == 18:
        luminance = np.maximum(nits @ (0.2627, 0.6780, 0.0593), 1e-9)[..., None]
        scene = nits / 1000 * (luminance / 1000) ** (1 / 1.2 - 1)
        value = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
        )
    else:
        value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.uint16(np.rint(65535 * np.clip(value, 0, 1)))


def make_wide_video(path, frames, transfer, primaries, codec="libx265", matrix=9):
    """Writes 10 bit frames, uint16 RGB, with their colours named."""
    with av.open(str(path), "w") as container:
        quiet = {"x265-params": "log-level=none", "crf": "4"} if codec == "libx265" else {"crf": "4"}
        stream = container.add_stream(codec, rate=25, options=quiet)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, context = "yuv420p10le", stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace, context.color_range = (
            transfer,
            primaries,
            matrix,
            1,
        )
        for number, frame in enumerate(frames):
            deep = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb48le")
            deep = deep.reformat(format="yuv420p10le", dst_colorspace=matrix, dst_color_range=1)
            deep.color_trc, deep.color_primaries, deep.pts = transfer, primaries, number
            container.mux(stream.encode(deep))
        container.mux(stream.encode(None))
    return path


def cut(source, path, part):
    """Writes the first `part` (0..1) of a file's bytes."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def flip_bits(source, path, flips, seed=0, start=0.1, end=0.9):
    """Writes a file with single bits turned over between two places (parts of its length)."""
    data = np.frombuffer(source.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(seed)
    places = rng.integers(int(start * len(data)), int(end * len(data)), flips)
    data[places] ^= (1 << rng.integers(0, 8, flips)).astype(np.uint8)
    path.write_bytes(data.tobytes())
    return path


def pack_b_frames(source, path):
    """Rewrites MPEG-4 with single B-frames as DivX packed it: P and B in one packet, then one without an image."""
    start = b"\0\0\1\xb6"
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        stream = given.streams.video[0]
        out = container.add_stream_from_template(stream)
        data = [bytes(packet) for packet in given.demux(stream) if packet.size]
        kinds = ["IPBS"[d[d.index(start) + 4] >> 6] for d in data]
        first = data[0].index(start)
        data[0] = data[0][:first] + b"\0\0\1\xb2DivX503b1393p" + data[0][first:]
        packed = []
        while data:
            packed.append(data.pop(0))
            kinds.pop(0)
            if kinds and kinds[0] == "B":
                packed[-1] += data.pop(0)
                kinds.pop(0)
                packed.append(start + b"\x55\x00\x7f")
        for number, d in enumerate(packed):
            packet = av.Packet(d)
            packet.stream, packet.time_base, packet.is_keyframe = out, stream.time_base, number == 0
            packet.pts = packet.dts = number
            container.mux(packet)
    return path
