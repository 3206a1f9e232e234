"""Clips from a folder of the user's videos."""

import concurrent.futures
import dataclasses
import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.progress import Progress
from trivd_tf.base.storage import is_address
from trivd_tf.data import pipeline
from trivd_tf.data.clips import (
    ClipSpec,
    crop_clip,
    cut_clip,
    identity,
    require_fraction,
    require_integer,
)
from trivd_tf.data.files import arrays, decode
from trivd_tf.data.files.arrays import ArrayVideo
from trivd_tf.data.files.cache import FrameCache, default_cache_dir
from trivd_tf.data.files.listing import (
    Found,
    class_of,
    find_classes,
    find_videos,
    num_bytes,
    signature,
)
from trivd_tf.data.files.timing import describe_rates
from trivd_tf.data.source import ClipSource, check_split, digest
from trivd_tf.data.splits import Part, split_videos
from trivd_tf.data.windows import WindowTable, random_positions

_LOG = logging.getLogger(__name__)
# Up to this many skipped files of one extension in a folder are all named; else only the first.
_NAMED_ONE_BY_ONE = 3


class _Table:
    """The windows of one split, over its parts of videos."""

    def __init__(self, parts: list[Part], clip: ClipSpec):
        self._videos = np.array([part.video for part in parts], np.int64)
        self._firsts = np.array([part.first for part in parts], np.int64)
        self._windows = WindowTable(np.array([part.length for part in parts], np.int64), clip)

    def __len__(self) -> int:
        return len(self._windows)

    def training(self, indices: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        parts, starts = self._windows.training(indices, seed)
        return self._videos[parts], self._firsts[parts] + starts

    def evaluation(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts, starts = self._windows.evaluation(indices)
        return self._videos[parts], self._firsts[parts] + starts


@dataclasses.dataclass(frozen=True)
class _Decoded:
    """Decoded frames of one video: their location, number and original frame rate."""

    entry: Path | ArrayVideo
    length: int
    frame_rate: float


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """State of `VideoFolder` for one kind of clip."""

    entries: list[Path | ArrayVideo]  # cache entries, or array videos read in place
    labels: np.ndarray  # labels of the videos, int32
    tables: dict[str, _Table]
    identity: str
    inventory: dict[str, str]


class VideoFolder(ClipSource):
    """Clips from all videos in a folder and its subfolders, in any format.

    A subfolder of numbered pictures is one video; an array file (`arrays`) may hold several. Videos
    are decoded once, at the size of the clips, into a cache; arrays are read in place. Each
    training epoch has every window of every training video once, in random order. Unusable files
    are reported once, with the reason, and skipped.

    If all videos are in subfolders, each subfolder is a class: `walk/1.mp4`, `run/2.mp4`.

    Args:
      data_dir: the folder, or one array file. Files and folders whose name begins with a dot are
        skipped.
      train_fraction: fraction of the videos (or of each video's frames) for training.
      split_by: "file": each video is used for either training or testing. "time": the end of each
        video is used for testing; no frame is in both splits. "auto": by file if that gives at
        least two test videos, else by time.
      cache_dir: folder of decoded frames; defaults to the user's cache directory
        ($XDG_CACHE_HOME/trivd_tf/decoded).
      num_workers: number of files decoded in parallel; defaults to the number of cores.
    """

    name = "video_folder"

    def __init__(
        self,
        *,
        data_dir: str,
        train_fraction: float = 0.9,
        split_by: str = "auto",
        cache_dir: str | None = None,
        num_workers: int | None = None,
    ):
        require_fraction("VideoFolder", "train_fraction", train_fraction)
        if split_by not in ("auto", "file", "time"):
            raise InputError(
                f"VideoFolder.split_by must be auto, file or time; received {split_by!r}"
            )
        if num_workers is not None:
            require_integer("VideoFolder", "num_workers", num_workers, 1)
        if not data_dir or not isinstance(data_dir, str | os.PathLike):
            raise InputError(
                "VideoFolder.data_dir must name a folder of videos or an array file; "
                f"received {data_dir!r}"
            )
        if is_address(data_dir):
            raise InputError(
                f"VideoFolder.data_dir must be a folder of this machine; received {data_dir}: "
                "prepare it with `trivd prepare folder`, which reads addresses"
            )
        self._data_dir = Path(data_dir).expanduser()
        self._is_array = arrays.parse(self._data_dir) is not None
        self._root = self._data_dir.parent if self._is_array else self._data_dir
        self._train_fraction = train_fraction
        self._split_by = split_by
        self._cache_dir = Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
        self._num_workers = num_workers or len(os.sched_getaffinity(0))
        self._prepared: dict[ClipSpec, _Prepared] = {}
        self._named: set[str] = set()

    @functools.cached_property
    def class_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the subfolders that hold videos, if all videos are in subfolders."""
        if self._is_array:
            return ()
        names = [self._name(path) for path in self._list_videos().videos]
        return find_classes(names, lambda name: decode.is_video(self._root / name))

    def prepare(self, clip: ClipSpec) -> None:
        if clip not in self._prepared:
            self._prepared[clip] = self._prepare(clip)

    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        check_split(split)
        self.prepare(clip)
        return len(self._prepared[clip].tables[split])

    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        check_split(split)
        self.prepare(clip)
        return f"{self.name}-{split}-{digest(self._prepared[clip].identity, split)}"

    def _prepare(self, clip: ClipSpec) -> _Prepared:
        found = self._list_videos()
        in_files, in_arrays, unreadable = arrays.expand(found.videos)
        files = [*in_files, *in_arrays, *unreadable]
        cache = FrameCache(self._cache_dir, size=clip.size, fps=clip.fps)
        decoded, problems = self._decode_all(in_files, cache)
        problems |= unreadable
        for path, video in in_arrays.items():
            decoded[path] = _Decoded(video, video.num_frames, 0.0)
        for path, frames in decoded.items():
            if frames.length < clip.span:
                problems[path] = (
                    f"{path}: too short, {frames.length} frames where a clip takes {clip.span}"
                )
        if self._is_array and not set(files) - set(problems):
            raise InputError(next(iter(problems.values())))
        others = {path: f"{path}: {problem}" for path, problem in found.problems.items()}
        self._name_skipped([*files, *others], {**problems, **others})
        usable = sorted(path for path in files if path not in problems)
        if not usable:
            raise InputError(
                f"{self._data_dir}: none of its {len(files) + len(others)} files is a readable "
                f"video of at least {clip.span} frames"
            )
        self._warn_of_rates([decoded[path].frame_rate for path in usable], clip)
        parts = split_videos(
            [self._name(path) for path in usable],
            [decoded[path].length for path in usable],
            clip=clip,
            train_fraction=self._train_fraction,
            split_by=self._split_by,
            stated=[in_arrays[path].split if path in in_arrays else "" for path in usable],
        )
        tables = {split: _Table(part, clip) for split, part in parts.items()}
        _LOG.info(
            "%s: %d videos, %d training and %d test windows",
            self._data_dir, len(usable), len(tables["train"]), len(tables["test"]),
        )  # fmt: skip
        entries = [decoded[path].entry for path in usable]
        key, inventory = self._identity(usable, parts, clip), self._inventory(usable)
        return _Prepared(entries, self._labels(usable), tables, key, inventory)

    def _name(self, path: Path) -> str:
        """Returns a video's path relative to the folder."""
        return str(path.relative_to(self._root))

    def _labels(self, paths: list[Path]) -> np.ndarray:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        return np.array([numbers.get(class_of(self._name(path)), 0) for path in paths], np.int32)

    def _name_skipped(self, files: list[Path], problems: dict[Path, str]) -> None:
        """Reports each skipped file once, and their number."""
        news = [p for p in files if p in problems and problems[p] not in self._named]
        alike: dict[tuple[Path, str], list[Path]] = {}
        for path in news:
            alike.setdefault((path.parent, path.suffix.lower()), []).append(path)
        for (folder, suffix), paths in alike.items():
            # The pictures of a numbered series would fill the screen.
            named = paths if len(paths) <= _NAMED_ONE_BY_ONE else paths[:1]
            for path in named:
                _LOG.warning("skipped %s", problems[path])
            if len(paths) > len(named):
                _LOG.warning(
                    "skipped %d more files *%s in %s", len(paths) - len(named), suffix, folder
                )
        if news:
            _LOG.warning("%d of %d files in %s skipped", len(problems), len(files), self._data_dir)
        self._named.update(problems[path] for path in news)

    def inventory(self, clip: ClipSpec) -> dict[str, str]:
        self.prepare(clip)
        return self._prepared[clip].inventory

    def _inventory(self, usable: list[Path]) -> dict[str, str]:
        files = dict.fromkeys(arrays.file_of(path) for path in usable)
        return {path.relative_to(self._root).as_posix(): digest(*signature(path)) for path in files}

    def _warn_of_rates(self, rates: list[float], clip: ClipSpec) -> None:
        """Warns of differing frame rates, at which the same motion has different speeds."""
        mixed = describe_rates(rates) if clip.fps is None else ""
        if mixed and mixed not in self._named:
            _LOG.warning(
                "%s: videos of different frame rates (%s) play at different speeds to the model; "
                "set data.ClipSpec.fps, perhaps to the lowest of them, to bring all to one rate",
                self._data_dir, mixed,
            )  # fmt: skip
            self._named.add(mixed)

    def _identity(self, usable: list[Path], parts: dict[str, list[Part]], clip: ClipSpec) -> str:
        videos = [(self._name(path), *signature(path)) for path in usable]
        windows = {split: [dataclasses.astuple(part) for part in parts[split]] for split in parts}
        return digest(videos, windows, identity(clip))

    def _list_videos(self) -> Found:
        if self._is_array:
            return Found([self._data_dir], {})
        if not self._data_dir.is_dir():
            raise InputError(
                f"{self._data_dir}: no such folder; --data_dir must name a folder of videos"
            )
        found = find_videos(self._data_dir, skip={self._cache_dir})
        if not found.videos and not found.problems:
            raise InputError(f"{self._data_dir}: the folder is empty; put videos into it")
        return found

    def _decode_all(
        self, files: list[Path], cache: FrameCache
    ) -> tuple[dict[Path, _Decoded], dict[Path, str]]:
        """Returns the frames of each readable file, and the problems of the others."""
        decoded: dict[Path, _Decoded] = {}
        problems: dict[Path, str] = {}

        def read(path: Path) -> _Decoded:
            entry, frames = cache.read(path)
            return _Decoded(entry, len(frames), cache.frame_rate(path))

        sizes = {path: num_bytes(path) for path in files if path.exists()}
        waiting = {path for path in sizes if path not in cache}
        with (
            Progress("decoding videos", total=len(waiting), unit="file") as progress,
            concurrent.futures.ThreadPoolExecutor(self._num_workers) as workers,
        ):
            # Large files first: a long video started last would leave the other cores idle.
            order = sorted(files, key=lambda path: -sizes.get(path, 0))
            jobs = {workers.submit(read, path): path for path in order}
            try:
                for job in concurrent.futures.as_completed(jobs):
                    path = jobs[job]
                    try:
                        decoded[path] = job.result()
                    except InputError as error:
                        problems[path] = str(error)
                    progress.update(path in waiting)
            except BaseException:
                cache.stop()
                workers.shutdown(wait=False, cancel_futures=True)
                raise
        return decoded, problems

    def _training_batch(self, clip: ClipSpec, seed: int, indices: np.ndarray) -> pipeline.Batch:
        prepared = self._prepared[clip]
        windows = prepared.tables["train"].training(indices, seed)
        return _cut_batch(prepared, windows, clip, random_positions(seed, indices))

    def _evaluation_batch(self, clip: ClipSpec, split: str, indices: np.ndarray) -> pipeline.Batch:
        prepared = self._prepared[clip]
        windows = prepared.tables[split].evaluation(indices)
        return _cut_batch(prepared, windows, clip, [None] * len(indices))


@functools.lru_cache(maxsize=2048)
def _open_entry(entry: Path) -> np.ndarray:
    """Memory-maps decoded frames; bounded, because a process can hold a limited number of maps."""
    return np.load(entry, mmap_mode="r")


def _cut_batch(
    prepared: _Prepared,
    windows: tuple[np.ndarray, np.ndarray],
    clip: ClipSpec,
    positions: Sequence[tuple[float, float] | None],
) -> pipeline.Batch:
    count = len(positions)
    video = np.empty((count, clip.num_frames, clip.height, clip.width, 3), np.uint8)
    for row, (number, start, position) in enumerate(zip(*windows, positions, strict=True)):
        entry, start = prepared.entries[number], int(start)
        if isinstance(entry, ArrayVideo):
            frames = entry.read(slice(start, start + clip.span, clip.stride), clip.size)
            crop_clip(frames, clip, position, out=video[row])
        else:
            cut_clip(_open_entry(entry), start, clip, position, out=video[row])
    return video, prepared.labels[windows[0]]
