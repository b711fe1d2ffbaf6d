"""Decode one packet and collect what the codec logs about it.

A codec that meets damage often logs an error, invents a picture and returns a frame that is not marked as corrupt. PyAV
does not expose FFmpeg's `decode_error_flags`, so the log is captured packet by packet.
"""

import re
from typing import Any

import av

from pipeline.errors import ItemError

# Logged only if picture data itself cannot be read. Other errors (missing references, memory control) also come from
# healthy streams that were cut or written by odd encoders.
DAMAGE = re.compile(
    r"error while decoding MB|concealing|Invalid NAL unit size|cabac decode .* failed"  # h264, hevc
    r"|damaged at|Error at MB|mb incr damaged|invalid mb type"  # mpeg1, mpeg2, mpeg4, h263
    r"|overread|bad vlc|error (dc|ac|y=)|error count",  # mjpeg
    re.IGNORECASE,
)


def decode_packet(stream: av.VideoStream, packet: Any) -> tuple[list[av.VideoFrame], list[str]]:
    """The decoded frames (packet None drains the codec) and the errors that the codec logged.

    Raises:
        ItemError: `damaged_video` if the packet cannot be decoded.
    """
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as logged:
            frames = stream.codec_context.decode(packet)
    except av.error.EOFError:
        return [], []
    except MemoryError:  # PyAV's is one of FFmpegError as well
        raise
    except av.error.FFmpegError as error:
        raise ItemError("damaged_video", f"a packet at {_place(packet)} cannot be decoded: {error.strerror}") from error
    finally:
        av.logging.set_level(before[0])
        av.logging.set_skip_repeated(before[1])
    return frames, [text.strip() for _, _, text in logged]


def check_undamaged(errors: list[str], packet: Any) -> None:
    """Raise if the codec logged that it could not read picture data.

    Raises:
        ItemError: `damaged_video`.
    """
    worst = next((text for text in errors if DAMAGE.search(text)), None)
    if worst is not None:
        raise ItemError("damaged_video", f"the packet at {_place(packet)} is damaged: {worst}")


def _place(packet: Any) -> str:
    return "the end" if packet is None or packet.pts is None else f"{float(packet.pts * packet.time_base):.3f} s"
