"""Decodes chosen frames of a video, and only the packets that they need."""

import numpy as np

from tfdeepfake.data.video.packets import THREADS, decoded, demuxed, opened, sequence, upright

# Their decoders can be told before each packet to pass over it when no other image refers to it. The decoder of
# AV1 takes that order once, at its start; in the others every image is a keyframe.
SKIPPING_CODECS = ("h264", "hevc", "vp9", "mpeg4")


def frames(index, wanted, deadline):
    """Decodes a video.

    Args:
      index: `packets.Index` of the file.
      wanted: int [n] positions in `index.times`, ascending and unique; None for all.
      deadline: `media_file.Deadline`.
    Yields:
      (position, av.VideoFrame, doubtful) for every wanted frame that can be decoded, in ascending order of position;
      frames that only came with all before them decoded (see below) follow at the end. A frame is doubtful when one
      before it, since the last keyframe, could not be decoded: parts of it may be smeared.
    """
    if wanted is not None and not len(wanted):
        return
    if index.packets is None:
        yield from _counted_frames(index, wanted, deadline)
        return
    found = set()
    for position, frame, doubtful in _indexed_frames(index, wanted, deadline, skip=wanted is not None):
        found.add(position)
        yield position, frame, doubtful
    # Some files call frames keyframes that are none, and streams with a rolling refresh have no true ones.
    late = [] if wanted is None else [position for position in np.asarray(wanted).tolist() if position not in found]
    if late:
        yield from _indexed_frames(index, late, deadline, skip=False)


def _counted_frames(index, wanted, deadline):
    chosen = None if wanted is None else set(np.asarray(wanted).tolist())
    with opened(index.path, THREADS) as (container, stream):
        whole = (given for given in sequence(container, stream, deadline) if given[0] is not None)
        for position, (frame, doubtful) in enumerate(whole):
            # Frame threads can bring out one more damaged frame in one run than in another.
            if position >= len(index.times) or (chosen is not None and position > wanted[-1]):
                return
            if chosen is None or position in chosen:
                yield position, frame, doubtful


def _needed(index, wanted):
    """bool [P]: packets that have to be decoded for the wanted frames."""
    ticks, keys, shown = index.packets
    starts = np.flatnonzero(keys)
    place = dict(zip(ticks[shown].tolist(), np.flatnonzero(shown).tolist(), strict=True))
    needed = np.zeros(len(ticks), bool)
    for tick in index.times[wanted].tolist():
        at = place[tick]
        # A frame that is shown before the keyframe it follows in the file needs the group before as well.
        before = starts[(starts <= at) & (ticks[starts] <= tick)]
        needed[before[-1] if len(before) else 0 : at + 1] = True
    return needed


def _indexed_frames(index, wanted, deadline, skip):
    """`frames` by packets; with `skip`, only those that the wanted frames need are decoded."""
    ticks, keys, shown = index.packets
    wanted = np.arange(len(index.times)) if wanted is None else np.asarray(wanted)
    positions = dict(zip(index.times[wanted].tolist(), wanted.tolist(), strict=True))
    place = dict(zip(ticks[shown].tolist(), np.flatnonzero(shown).tolist(), strict=True))
    start = np.maximum.accumulate(np.where(keys, np.arange(len(keys)), 0))
    needed = _needed(index, wanted) if skip else None
    broken, left = -1, len(positions)  # broken: the last packet that could not be decoded

    def chosen(out):
        nonlocal broken, left
        for frame in out:
            at = place.get(frame.pts)
            if frame.is_corrupt:
                broken = broken if at is None else max(broken, at)
            elif frame.pts in positions:
                left -= 1
                # An error shows up to THREADS packets late.
                yield positions[frame.pts], frame, bool(start[at] <= broken and at > broken - THREADS)

    with opened(index.path, THREADS) as (container, stream):
        decoder, fed = stream.codec_context, False
        for number, packet in enumerate(demuxed(container, stream, deadline)):
            if not skip or needed[number]:
                if skip and index.codec in SKIPPING_CODECS:
                    decoder.skip_frame = "DEFAULT" if packet.pts in positions else "NONREF"
                out, failed = decoded(decoder, packet)
                fed = True
            elif fed:
                out, failed = decoded(decoder, None)
                decoder.flush_buffers()
                fed = False
            else:
                continue
            broken = number if failed else broken
            yield from chosen(out)
            if not left:
                return
        out, _ = decoded(decoder, None)
        yield from chosen(out)


class Converter:
    """Turns the decoder's images (any pixel format, size, colour matrix and range) into upright RGB of one size.

    Args:
      index: `packets.Index` of the file.
      max_side_px: frames whose longer side is longer are shrunk to it.
    """

    def __init__(self, index, max_side_px):
        from av.video.reformatter import Interpolation, VideoReformatter

        self.turn = index.turn
        self.stored_px = shrunk(*index.stored_px, max_side_px)
        self.shape = (*(self.stored_px if index.turn[0] else self.stored_px[::-1]), 3)  # H, W, 3
        self.reformatter = VideoReformatter()
        # Bicubic is what OpenCV asks of the same library: colours of ordinary videos are then equal to its own.
        self.interpolation = Interpolation.BICUBIC if self.stored_px == index.stored_px else Interpolation.AREA

    def __call__(self, frame, out):
        """Writes an av.VideoFrame into out, uint8 [H, W, 3]."""
        image = self.reformatter.reformat(frame, *self.stored_px, format="rgb24", interpolation=self.interpolation)
        out[:] = upright(image.to_ndarray(), self.turn)


def shrunk(width, height, max_side_px):
    """(width, height) with the longer side at most max_side_px, in the same proportion."""
    part = min(1.0, max_side_px / max(width, height))
    return max(1, round(width * part)), max(1, round(height * part))
