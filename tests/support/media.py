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
            image.pts = number if ticks is None else int(ticks[number])
            image.time_base = Fraction(time_base) if time_base else 1 / rate
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
        if sound:
            _add_tone(container, tone)
    return path


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
