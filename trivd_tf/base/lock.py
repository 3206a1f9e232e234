"""Locks a directory for one process, also on a shared file system.

    with directory_lock("runs/a", "trivd train"):
        ...

The lock is the file `.trivd.lock` in the directory. It records the host, the process, when the
process started and since when it holds the lock. If the holder ran on this machine, it is looked
up: the lock is ignored if the process is dead, or if its number now belongs to another process or
dates from before the last boot. A process of another machine or container cannot be looked up.
While it is alive, it touches the file every few seconds; a lock that stays untouched for longer is
taken over. Clocks of different machines are never compared.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import platform
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.outputs import one_at_a_time
from trivd_tf.base.storage import RemotePath, RunName, RunPath, run_folder, write_whole

FILE_NAME = ".trivd.lock"
SECONDS_BETWEEN_BEATS = 10.0
# Number of missed beats after which another machine's lock is dead; a busy disk may delay some.
_BEATS_MISSED = 4
_SECONDS_OF_A_STORE = 60.0  # between beats in an object store: each beat rewrites an object

_held: dict[str, str] = {}  # folder -> token of the locks that this process holds


@contextlib.contextmanager
def directory_lock(
    folder: RunName,
    purpose: str,
    *,
    beat: float = SECONDS_BETWEEN_BEATS,
    on_lost: Callable[[str], None] | None = None,
    report: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Holds the lock of `folder`, which is created if needed; reentrant within a process.

    Args:
        folder: a local folder or an address. Object stores cannot create a file exclusively: two
            processes that start in the same second may both get the lock.
        purpose: the command, shown to other processes.
        beat: seconds between two touches of the lock.
        on_lost: called from another thread with a line of text if another process has taken over
            the lock because this process was suspended for too long. The default ends the process
            before it writes among the other's files.
        report: called with one line if the lock of another machine must be watched for a while.

    Raises:
        InputError: another process holds the lock; the message names its host, process and start.
        RunError: the folder cannot be created or written.
    """
    path = run_folder(folder)
    key = str(path if isinstance(path, RemotePath) else path.resolve())
    if key in _held:
        yield
        return
    lock = path / FILE_NAME
    mine = _description(purpose)
    made = _missing_folders(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        _acquire(lock, mine, beat, report or _say)
    except OSError as error:
        raise RunError(
            f"{path}: could not be written ({error.strerror or error}); choose another directory"
        ) from error
    _held[key] = mine["token"]
    ended = threading.Event()
    beating = threading.Thread(
        target=_beat, args=(lock, mine, beat, ended, on_lost or _leave), daemon=True
    )
    beating.start()
    try:
        yield
    finally:
        ended.set()
        beating.join()
        del _held[key]
        _release(lock, mine["token"])
        with contextlib.suppress(OSError):
            for new in made:
                new.rmdir()  # fails unless empty


def _missing_folders(path: RunPath) -> list[Path]:
    """Returns the folders that must be created for a local folder, the deepest first."""
    if isinstance(path, RemotePath):
        return []
    return [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]


def _acquire(
    lock: RunPath, mine: dict[str, Any], beat: float, report: Callable[[str], None]
) -> None:
    while True:
        with one_at_a_time(lock.parent) if isinstance(lock, Path) else contextlib.nullcontext():
            found = _read(lock)
            if found is None or _is_dead(found):
                _remove(lock)
                if _create(lock, mine):
                    return
                found = _read(lock)
        if found is None:
            continue
        if _is_here(found):
            raise InputError(_refusal(lock, found))
        _watch(lock, found, beat, report)


def _watch(
    lock: RunPath, found: dict[str, Any], beat: float, report: Callable[[str], None]
) -> None:
    """Removes the lock once it has been untouched for long enough; raises if it is touched."""
    seconds = _BEATS_MISSED * (beat if isinstance(lock, Path) else _SECONDS_OF_A_STORE)
    report(
        f"{lock.parent} is locked by {_who(found)}; taking it over unless that process is "
        f"active within {seconds:.0f} s"
    )
    first = _touched(lock)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(min(1.0, beat / 4))
        touched = _touched(lock)
        if touched is None:
            return  # released in the meantime
        if touched != first:
            raise InputError(_refusal(lock, found))
    if (_read(lock) or {}).get("token") == found.get("token"):
        _remove(lock)


def _description(purpose: str) -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC)
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "process_started": process_started(os.getpid()),
        "machine": _machine(),
        "command": purpose,
        "since": now.isoformat(timespec="seconds"),
        "token": uuid.uuid4().hex,
    }


def _machine() -> str:
    """Returns an identifier shared by processes that can look each other up.

    It combines the boot and the process number namespace. The host name is not sufficient:
    containers share or change names, and all containers of a machine share its boot.
    """
    parts = []
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        with contextlib.suppress(OSError):
            parts.append(read())
    return " ".join(parts) or f"{platform.node()} {platform.system()}"


def process_started(process: int) -> str | None:
    """Returns when a local process started, in clock ticks; None if that cannot be read.

    This distinguishes a process from a later one with the same number. For a zombie process, the
    result is "ended".
    """
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    # The second field is the command in parentheses, and may contain spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return "ended" if fields[0] in "ZX" else fields[19]


def _is_here(found: dict[str, Any]) -> bool:
    return found.get("machine") == _machine()


def _is_dead(found: dict[str, Any]) -> bool:
    """Returns whether the process is known to be dead."""
    if not _is_here(found):
        return False
    process = found.get("process")
    if not isinstance(process, int):
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # a process of another user
    started = process_started(process)
    return started is not None and started != found.get("process_started")


def _refusal(lock: RunPath, found: dict[str, Any]) -> str:
    return (
        f"{lock.parent} is in use by {_who(found)}; wait until it ends, stop it, or choose another "
        "directory"
    )


def _who(found: dict[str, Any]) -> str:
    return (
        f"{found.get('command')} (host {found.get('host')}, process {found.get('process')}, since "
        f"{found.get('since')})"
    )


def _create(lock: RunPath, mine: dict[str, Any]) -> bool:
    """Creates the lock with its content; returns False if it already exists."""
    text = json.dumps(mine, indent=1) + "\n"
    if isinstance(lock, RemotePath):
        write_whole(lock, text)
        return (_read(lock) or {}).get("token") == mine["token"]
    complete = lock.with_name(f"{FILE_NAME}.{mine['token']}")
    complete.write_text(text, encoding="utf-8")
    try:
        # A link appears with its content and never replaces a file, also on NFS.
        os.link(complete, lock)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        try:
            handle = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    finally:
        complete.unlink(missing_ok=True)
    return True


def _read(lock: RunPath) -> dict[str, Any] | None:
    """Returns the lock's content; None without a lock. A damaged lock has no holder."""
    try:
        found = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"machine": _machine()}


def _touched(lock: RunPath) -> str | None:
    """Returns a value that changes with each beat; None without a lock."""
    if isinstance(lock, RemotePath):
        found = _read(lock)
        return None if found is None else str(found.get("beat"))
    try:
        with lock.open("rb") as file:  # opening queries the server of a shared file system
            return str(os.fstat(file.fileno()).st_mtime_ns)
    except FileNotFoundError:
        return None


def _beat(
    lock: RunPath,
    mine: dict[str, Any],
    beat: float,
    ended: threading.Event,
    on_lost: Callable[[str], None],
) -> None:
    count = 0
    while not ended.wait(beat if isinstance(lock, Path) else max(beat, _SECONDS_OF_A_STORE)):
        try:
            found = _read(lock)
            if found is not None and found.get("token") != mine["token"]:
                on_lost(f"{lock.parent} was taken over by {_who(found)}: this process ends")
                return
            count += 1
            if isinstance(lock, RemotePath):
                write_whole(lock, json.dumps({**mine, "beat": count}, indent=1) + "\n")
            elif found is None:
                _create(lock, mine)
            else:
                os.utime(lock)
        except Exception:  # a store or disk that is unavailable for a while; retry at the next beat
            continue


def _release(lock: RunPath, token: str) -> None:
    with contextlib.suppress(Exception):  # a store that is unavailable; the lock will expire
        if (_read(lock) or {}).get("token") == token:
            _remove(lock)


def _remove(lock: RunPath) -> None:
    if isinstance(lock, RemotePath):
        import tensorflow as tf

        if lock.is_file():
            tf.io.gfile.remove(str(lock))
        return
    lock.unlink(missing_ok=True)


def _say(line: str) -> None:
    print(f"trivd: {line}", file=sys.stderr, flush=True)


def _leave(line: str) -> None:
    with contextlib.suppress(OSError):
        _say(line)
    os._exit(1)
