"""Reads byte ranges of many record files from several threads, with few open files."""

import collections
import os
import threading

import tensorflow as tf

_MAX_OPEN_FILES = 128


class RecordFiles:
    """Reads byte ranges of files; local files with `pread`, which does not block other threads.

    Args:
      paths: the files; paths with "://" are read with tf.io.gfile.
    """

    def __init__(self, paths: list[str]):
        self._paths = paths
        self._lock = threading.Lock()
        self._open: collections.OrderedDict[int, _Local | _Remote] = collections.OrderedDict()

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Reads `length` bytes of file number `file` at `offset`.

        Raises:
          OSError: the file is too short, or cannot be read.
        """
        with self._lock:
            reader = self._open.pop(file, None)
            if reader is None:
                path = self._paths[file]
                reader = _Remote(path) if "://" in path else _Local(path)
            self._open[file] = reader
            if len(self._open) > _MAX_OPEN_FILES:
                # Closed once no thread reads from it.
                self._open.popitem(last=False)
        data = reader.read(offset, length)
        if len(data) != length:
            raise OSError(f"{self._paths[file]} is truncated: prepare the data set again")
        return data


class _Local:
    def __init__(self, path: str):
        self._descriptor = os.open(path, os.O_RDONLY)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


class _Remote:
    def __init__(self, path: str):
        self._lock = threading.Lock()
        self._file = tf.io.gfile.GFile(path, "rb")

    def read(self, offset: int, length: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)
