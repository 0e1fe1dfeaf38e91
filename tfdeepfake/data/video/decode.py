"""Decodes chosen frames of a video, and only the packets that they need."""

import bisect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tfdeepfake.data.video import animation, frame_folder
from tfdeepfake.data.video.deinterlace import Deinterlacer, deinterlaced_alone, with_neighbours
from tfdeepfake.data.video.packets import THREADS, Sequence, decoded, demuxed, opened

if TYPE_CHECKING:
    from tfdeepfake.data.video.check import Deadline
    from tfdeepfake.data.video.index import Index


# More than those of one frame and of its reordering, with one for every thread.
LATEST_PACKETS = 64
# Their decoders can be told before each packet to pass over it when no other frame refers to it. The decoder of
# AV1 takes that order once, at its start; in the others every frame is a keyframe.
SKIPPING_CODECS = ("h264", "hevc", "vp9", "mpeg4", "mpeg2video")
# What a packet may tell that also goes for those after it, until another tells otherwise.
LASTING = ("new_extradata", "palette")


def frames(index: "Index", wanted: np.ndarray | None, deadline: "Deadline", alone: bool = False) -> Iterator[tuple]:
    """Decodes a video; interlaced frames come out deinterlaced.

    Args:
      index: `index.Index` of the file.
      wanted: int [n] positions in `index.times`, ascending and unique; None for all.
      deadline: `check.Deadline`.
      alone: interlaced frames are made progressive without the frames before and after them.
    Yields:
      (position, av.VideoFrame, decoder, doubtful) for every wanted frame that can be decoded, in ascending order of
      position; frames that only came with all before them decoded (see below), or that turned out to be interlaced,
      follow at the end. The decoder is that which has just given the frame. A frame is doubtful when one before it,
      since the last keyframe, could not be decoded: parts of it may be smeared.
    """
    if wanted is None:
        ascending = _ascending(_decoded(index, None, deadline))
        yield from _deinterlaced(index, ascending, index.interlaced)
        return
    wanted = np.asarray(wanted).tolist()
    if index.interlaced and not alone:
        yield from _with_neighbours(index, wanted, deadline)
        return
    interlaced = []
    for given in _decoded(index, wanted, deadline):
        if not (given[1].interlaced_frame or index.field_order) or index.looks[0].is_field:
            yield given
        elif alone:
            yield given[0], deinterlaced_alone(given[1], index.field_order), *given[2:]
        else:
            interlaced.append(given[0])
    yield from _with_neighbours(index, sorted(interlaced), deadline)


def _ascending(decoded):
    """Without frames that come after later ones, as damaged ones may."""
    last = -1
    for given in decoded:
        if given[0] > last:
            last = given[0]
            yield given


def _with_neighbours(index, wanted, deadline):
    near, wanted = with_neighbours(wanted, len(index.times)), set(wanted)
    for given in _deinterlaced(index, _decoded(index, near, deadline), True):
        if given[0] in wanted:
            yield given


def _deinterlaced(index, decoded, begin):
    """Passes frames through a filter: all where `begin`, else from the first that is interlaced; none where these are
    fields by themselves."""
    fields, field_order = index.looks[0].is_field, index.field_order
    deinterlacer, before = Deinterlacer(field_order=field_order) if begin else None, None
    for given in decoded:
        if deinterlacer is None and given[1].interlaced_frame and not fields:
            deinterlacer = Deinterlacer(before and before[0], field_order)
            if before is not None:
                yield from deinterlacer.push(before)
        if deinterlacer is None:
            before = given
            yield given
        else:
            yield from deinterlacer.push(given)
    if deinterlacer is not None:
        yield from deinterlacer.flush()


def _decoded(index, wanted, deadline):
    """`frames` as they are stored."""
    if wanted is not None and not len(wanted):
        return
    if index.is_folder:
        yield from frame_folder.frames(index.path, wanted, deadline)
        return
    if index.animation_turn is not None:
        yield from animation.frames(index.path, wanted, index.animation_turn, deadline)
        return
    if index.packets is None:
        yield from _counted_frames(index, wanted, deadline)
        return
    seen = set()
    for given in _indexed_frames(index, wanted, deadline, skip=wanted is not None):
        seen.add(given[0])
        yield given
    # Some files call frames keyframes that are none, and streams with a rolling refresh have no true ones.
    late = [] if wanted is None else [position for position in wanted if position not in seen]
    if late:
        yield from _indexed_frames(index, late, deadline, skip=False)


def _counted_frames(index, wanted, deadline):
    """`_decoded` by counting from the places that decoding can start at."""
    wanted = range(len(index.times)) if wanted is None else wanted
    places, firsts = index.starts.T.tolist()
    # How many frames are in the packets before each: as many as packets, but for H.264 in fields.
    before = firsts if index.codec == "h264" else places
    # Of each run: the packet it starts at, the position that then comes first, and the positions wanted of it.
    runs, last = [], None
    for position in wanted:
        start = max(0, bisect.bisect_right(firsts, position) - 1)
        # When a frame comes out, the packets of some that follow it have gone in.
        if last is None or firsts[start] > last + LATEST_PACKETS:
            runs.append((places[start], firsts[start], []))
        last = position
        runs[-1][2].append(position)
    with opened(index.path, index.threads, index.stream) as (container, stream):
        decoder, packets = stream.codec_context, enumerate(demuxed(container, stream, deadline))
        number, packet = next(packets, (0, None))
        if packet is not None and runs[0][0] > 0 and _first_packet_tells(index, decoder):
            decoded(decoder, packet)
        for place, position, chosen in runs:
            while packet is not None and number < place:
                number, packet = next(packets, (number + 1, None))
            decoder.flush_buffers()
            sequence, chosen, last, going = Sequence(decoder), set(chosen), max(chosen), True
            coming = bisect.bisect_right(places, place)  # the start that decoding reaches next
            while going:
                if packet is not None and not index.decoded:
                    packet.pts = number
                for frame, doubtful in sequence(packet):
                    if frame is None and index.decoded:
                        continue
                    # A lost frame shifts the count, until the next start.
                    while (
                        frame is not None and not index.decoded and coming < len(places) and frame.pts >= places[coming]
                    ):
                        position, coming = before[coming], coming + 1
                    if position in chosen and frame is not None:
                        yield position, frame, decoder, doubtful
                    # Frame threads can bring out one more damaged frame in one run than in another.
                    going = position < last
                    position += 1
                if packet is None:
                    break
                number, packet = next(packets, (number + 1, None))


def _first_packet_tells(index, decoder):
    """Whether the first packet has to be decoded for what is in others.

    x264 writes its version into the first packet alone. FFmpeg has to know it: 4:4:4 of versions before 151 is stored
    otherwise than the standard says, and comes out green without it.
    """
    return index.codec == "h264" and (decoder.pix_fmt or "").startswith(("yuv444", "yuvj444", "gbrp"))


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
    if index.fields:
        needed[1:] |= needed[:-1] & ~shown[1:]
    return needed


def _indexed_frames(index, wanted, deadline, skip):
    """`_decoded` by packets; with `skip`, only those that the wanted frames need are decoded."""
    ticks, keys, shown = index.packets
    wanted = np.arange(len(index.times)) if wanted is None else np.asarray(wanted)
    positions = dict(zip(index.times[wanted].tolist(), wanted.tolist(), strict=True))
    place = dict(zip(ticks[shown].tolist(), np.flatnonzero(shown).tolist(), strict=True))
    start = np.maximum.accumulate(np.where(keys, np.arange(len(keys)), 0))
    needed = _needed(index, wanted) if skip else None
    broken, seen = -1, set()  # broken: the last packet that could not be decoded

    def chosen(out):
        nonlocal broken
        for frame in out:
            at = place.get(frame.pts)
            if frame.is_corrupt:
                broken = broken if at is None else max(broken, at)
            elif frame.pts in positions and frame.pts not in seen:
                # A damaged packet can give two frames.
                seen.add(frame.pts)
                # An error shows up to THREADS packets late.
                yield positions[frame.pts], frame, decoder, bool(start[at] <= broken and at > broken - THREADS)

    with opened(index.path, index.threads, index.stream) as (container, stream):
        decoder, fed, told, is_wanted = stream.codec_context, False, {}, False
        for number, packet in enumerate(demuxed(container, stream, deadline)):
            if number == len(ticks):  # the file has grown
                break
            if packet.pts is not None:
                packet.pts = int(ticks[number])
            told |= {kind: packet.get_sidedata(kind) for kind in LASTING if packet.has_sidedata(kind)}
            if not skip or needed[number]:
                while told:
                    packet.set_sidedata(told.popitem()[1])
                if skip and index.codec in SKIPPING_CODECS:
                    # The second field of a frame has no time.
                    is_wanted = packet.pts in positions if packet.pts is not None else is_wanted
                    decoder.skip_frame = "DEFAULT" if is_wanted else "NONREF"
                out, failed = decoded(decoder, packet)
                fed = True
            elif number == 0 and _first_packet_tells(index, decoder):
                decoded(decoder, packet)
                fed = True
                continue
            elif fed:
                out, failed = decoded(decoder, None)
                decoder.flush_buffers()
                fed = False
            else:
                continue
            broken = number if failed else broken
            yield from chosen(out)
            if len(seen) == len(positions):
                return
        out, _ = decoded(decoder, None)
        yield from chosen(out)
