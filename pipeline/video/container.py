"""Open a video file, with a named outcome for everything that can be wrong with it."""

import errno
import os
import stat
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from pipeline.errors import ItemError

# Only containers that hold their own pictures: playlists (hls, concat, dash) would open other files and addresses.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,wmv,mxf,nut,ivf,"
    "h264,hevc,av1,obu,m4v,gif,dv,rm,y4m,yuv4mpegpipe"
)
READ_SECONDS = 20.0  # for opening and for each packet; a longer search through zeros or noise is hopeless
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS}


def check_file(path: Path) -> None:
    """Refuse anything but a readable, regular, non-empty file.

    Raises:
        ItemError: `missing_file`, `symlink_loop`, `not_a_file`, `unreadable_file` or `empty_file`.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise ItemError("missing_file", f"{path.name!r} does not exist") from error
    except PermissionError as error:
        raise ItemError("unreadable_file", f"{path.name!r}: {error.strerror}") from error
    except OSError as error:  # for example ENAMETOOLONG, or an unreachable share
        reason = "symlink_loop" if error.errno == errno.ELOOP else "unreadable_file"
        raise ItemError(reason, f"{path.name[:80]!r}: {error.strerror}") from error
    if not stat.S_ISREG(found.st_mode):
        raise ItemError("not_a_file", f"{path.name!r} is a folder or a special file")
    if not os.access(path, os.R_OK):
        raise ItemError("unreadable_file", f"{path.name!r} cannot be read: permission denied")
    if not found.st_size:
        raise ItemError("empty_file", f"{path.name!r} holds 0 bytes")


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open `path` and choose its video stream; both are closed at the end of the `with`.

    Decoding is single-threaded: clips run in parallel, and one thread per clip costs the least CPU and memory.

    Raises:
        ItemError: what `check_file` raises; `not_a_video` (no known container), `no_video_stream`,
            `unsupported_codec`; `damaged_file` for errors of the library inside the `with`; `time_limit` if no
            packet was found in `READ_SECONDS`.
    """
    check_file(path)
    container = _open(path)
    try:
        with container:
            stream = _video_stream(container)
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.error.ExitError as error:
        raise _lost_way(path) from error
    except MemoryError as error:  # PyAV's MemoryError is an FFmpegError too
        raise ItemError("memory_limit", f"{path.name!r} needs more memory than a worker may use") from error
    except av.error.FFmpegError as error:
        raise ItemError("damaged_file", f"{path.name!r}: {error.strerror}") from error
    except IndexError as error:
        if not _raised_by_pyav(error):
            raise
        raise ItemError(
            "damaged_file", f"{path.name!r}: a stream appears later that was not there at the start"
        ) from error


def _raised_by_pyav(error: BaseException) -> bool:
    """PyAV lists the streams once, at the start. A packet of a later stream (MPEG-TS) is past the end of that list."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return frames[-1][0].f_code.co_filename.startswith("av/")


def _open(path: Path) -> av.container.InputContainer:
    try:  # with this prefix, `http:x.mp4` and `-i.mp4` stay names of files
        return av.open(
            f"file:{path.absolute()}", container_options=_OPTIONS, metadata_errors="replace", timeout=READ_SECONDS
        )
    except av.error.PermissionError as error:
        raise ItemError("unreadable_file", f"{path.name!r} cannot be read: permission denied") from error
    except av.error.ExitError as error:
        raise _lost_way(path) from error
    except MemoryError as error:
        raise ItemError("memory_limit", f"{path.name!r} needs more memory than a worker may use") from error
    except av.error.FFmpegError as error:
        raise ItemError("not_a_video", f"{path.name!r}: {error.strerror}") from error
    except ValueError as error:
        raise ItemError("not_a_video", f"{path.name!r}: {error}") from error


def _lost_way(path: Path) -> ItemError:
    return ItemError("time_limit", f"{path.name!r}: found nothing to decode in {READ_SECONDS:g} s of reading")


def _video_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The default video stream if one is marked, else the first; cover art is not video."""
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & cover]
    if not streams:
        kinds = sorted({s.type for s in container.streams})
        raise ItemError("no_video_stream", f"the file holds {', '.join(kinds) or 'no stream'}")
    stream = next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])
    if stream.codec_context is None:
        raise ItemError("unsupported_codec", "the video stream's codec is unknown to the decoder library")
    return stream
