"""Decoding of uploads in a separate, limited process, the only one that opens the file.

libav is written in C, and uploads are untrusted. The child process has little memory and time and
may write no file. If it dies, the upload is rejected and the server keeps running.
"""

import functools
import multiprocessing
import os
import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.pictures.video_io import Clip, read_clip

_MEMORY = 2**31  # bytes in addition to the process's initial memory
_OPEN_FILES = 64


def read_untrusted(path: str, *, name: str, seconds: float, max_frames: int, **wanted: Any) -> Clip:
    """Run `read_clip` in a process that is stopped after `seconds`.

    Args:
        path: path of the file.
        name: name of the file in messages, instead of its path.
        seconds: limit of wall-clock time and of processor time.
        max_frames: longest clip that is read to its end (`window="last"`).
        wanted: further arguments of `read_clip`.

    Raises:
        InputError: the clip is rejected, takes too long, or crashes its reader.
    """
    ours, theirs = _context().Pipe(duplex=False)
    wanted = {**wanted, "max_decoded_frames": max_frames}
    child = _context().Process(target=_read, args=(theirs, path, seconds, wanted), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise InputError(
                f"{name}: could not be read within {seconds:.3g} seconds; try a shorter or "
                "smaller clip"
            )
        kind, *content = ours.recv()
    except EOFError:
        raise InputError(
            f"{name}: could not be read: it is damaged, or needs too much memory"
        ) from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if kind == "refused":
        raise InputError(content[0].replace(path, name))
    conditioning, continuation, rate = content
    return Clip(child_path(name), conditioning, continuation, rate)


def child_path(name: str) -> Any:
    from pathlib import Path

    return Path(name)


@functools.cache
def _context() -> Any:
    """Return a context that forks from a small server process with only the decoder loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def warm_up() -> None:
    """Start the fork server, so that the first upload does not wait for it."""
    child = _context().Process(target=os.getpid, daemon=True)
    child.start()
    child.join()


def _read(connection: Connection, path: str, seconds: float, wanted: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server handles Ctrl-C
    # Discard libav's output. In a file, its first line would end this process, because no file may
    # grow here.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    _limit(seconds)
    try:
        clip = read_clip(path, **wanted)
        answer: tuple[Any, ...] = (
            "read",
            np.ascontiguousarray(clip.conditioning),
            np.ascontiguousarray(clip.continuation),
            clip.frame_rate,
        )
    except InputError as error:
        answer = ("refused", " ".join(str(error).split())[:500])
    except MemoryError:
        answer = ("refused", f"{path}: needs too much memory; try smaller frames")
    except Exception as error:
        answer = ("refused", f"{path}: could not be read ({type(error).__name__})")
    connection.send(answer)
    connection.close()


def _limit(seconds: float) -> None:
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: now + _MEMORY,
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
    }
    for kind, limit in limits.items():
        resource.setrlimit(kind, (limit, limit))
