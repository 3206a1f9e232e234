"""I3D logits of clips, cached in files under a key of everything that they depend on."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from trivd_tf._version import __version__
from trivd_tf.base.progress import Progress
from trivd_tf.base.storage import RUN_AGAIN, whole_file
from trivd_tf.data.files.array_formats import UnreadableArray
from trivd_tf.data.files.decode import DECODING_RULES, UnreadableVideo
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.metrics.features import weights_digest
from trivd_tf.scoring.clips import Clip, read_clips
from trivd_tf.scoring.readers import Video
from trivd_tf.scoring.rules import Rule

# Increment when a change here or in `clips` changes the logits of a clip.
_VERSION = 2
_SAVE_EVERY = 64  # number of a video's clips after which logits are saved


def default_cache_dir() -> Path:
    """Returns the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trivd_tf" / "features"


class FeatureCache:
    """Cache of logits and lengths, one file per video and rule, each written atomically.

    An entry's name is a digest of the video's content (not its location or modification time), of
    the decoding, windows, resizing and cropping, of I3D's weights and of this package's version.

    Args:
        directory: cache directory; None disables the cache.
        model: I3D; the cache is disabled if its weights cannot be read.
        resize: rule for resizing frames to 224 x 224.
    """

    def __init__(self, directory: Path | None, model: object, resize: str):
        digest = weights_digest(model) if directory is not None else None
        self._directory = directory if digest is not None else None
        self._weights = [digest, resize]

    def load(self, video: Video, rule: Rule) -> dict[int, np.ndarray]:
        """Returns the cached logits `[D]` by the first frame of their clip."""
        arrays = self._read(self._logits(video, rule))
        if arrays is None:
            return {}
        return dict(zip(arrays["starts"].tolist(), arrays["logits"], strict=True))

    def save(self, video: Video, rule: Rule, logits: dict[int, np.ndarray]) -> None:
        """Adds logits to those in the cache."""
        logits = self.load(video, rule) | logits
        starts = np.array(sorted(logits))
        values = np.stack([logits[start] for start in starts.tolist()])
        self._write(self._logits(video, rule), starts=starts, logits=values)

    def length(self, video: Video, rule: Rule) -> int | None:
        """Returns the number of frames of a video at the rule's frame rate; None if not cached."""
        arrays = self._read(self._length(video, rule))
        return None if arrays is None else int(arrays["length"])

    def save_length(self, video: Video, rule: Rule, length: int) -> None:
        """Adds the length of a video to the cache."""
        self._write(self._length(video, rule), length=np.array(length))

    def _logits(self, video: Video, rule: Rule) -> list[object]:
        cut = [rule.frames, rule.stride, rule.frame_rate, rule.size, rule.crop]
        return ["logits", video.content(), cut, *self._weights]

    def _length(self, video: Video, rule: Rule) -> list[object]:
        return ["length", video.content(), rule.frame_rate]

    def _path(self, key: list[object]) -> Path:
        assert self._directory is not None
        text = json.dumps([*key, DECODING_RULES, _VERSION, __version__])
        return self._directory / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def _read(self, key: list[object]) -> dict[str, np.ndarray] | None:
        if self._directory is None:
            return None
        try:
            with self._path(key).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except Exception:  # missing or damaged (many error types): computed again
            return None

    def _write(self, key: list[object], **arrays: np.ndarray) -> None:
        if self._directory is None:
            return
        with whole_file(self._path(key), advice=RUN_AGAIN) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]


def measure_lengths(
    videos: Sequence[Video], rule: Rule, windows: str, cache: FeatureCache, name: str
) -> tuple[list[int], dict[str, str]]:
    """Counts the frames of each video, 0 if it cannot be read, up to the number that windows need.

    Returns:
        The lengths, and the problems of unreadable videos, by name.
    """
    problems: dict[str, str] = {}
    lengths = []
    with Progress(f"lengths of {name}", total=len(videos), unit="video") as progress:
        for video in videos:
            try:
                lengths.append(_length(video, rule, windows, cache))
            except (UnreadableVideo, UnreadableArray) as error:
                problems[video.name] = str(error)
                lengths.append(0)
            progress.update()
    return lengths, problems


def _length(video: Video, rule: Rule, windows: str, cache: FeatureCache) -> int:
    known = cache.length(video, rule)
    if known is not None:
        return known
    length = 0
    for _ in video.frames(size=rule.size, frame_rate=rule.frame_rate):
        length += 1
        if windows == "first" and length == rule.span:
            return length
    cache.save_length(video, rule, length)
    return length


@dataclasses.dataclass
class _Missing:
    """The clips of one video whose logits must be computed."""

    number: int
    video: Video
    starts: list[int]
    unsaved: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)

    def save_if(self, cache: FeatureCache, rule: Rule, number: int) -> None:
        """Writes the computed logits to the cache if there are at least `number`."""
        if len(self.unsaved) >= number:
            cache.save(self.video, rule, self.unsaved)
            self.unsaved = {}


def logits_of(
    videos: Sequence[Video],
    clips: Sequence[Clip],
    rule: Rule,
    extractor: FeatureExtractor,
    cache: FeatureCache,
    name: str,
) -> np.ndarray:
    """Computes logits of clips, `[N, D]`, except those in the cache.

    An interrupted call leaves the computed logits in the cache.

    Args:
        videos: videos of one side.
        clips: clips of these videos.
        rule: rule of the clips.
        extractor: I3D.
        cache: cache of logits.
        name: name of the side, for the progress display.
    """
    by_video: dict[int, list[int]] = {}
    for clip in clips:
        by_video.setdefault(clip.video, []).append(clip.start)
    known: dict[Clip, np.ndarray] = {}
    missing: list[_Missing] = []
    for number, starts in by_video.items():
        stored = cache.load(videos[number], rule)
        known |= {Clip(number, start): stored[start] for start in starts if start in stored}
        if absent := [start for start in starts if start not in stored]:
            missing.append(_Missing(number, videos[number], absent))
    done = len(clips) - sum(len(one.starts) for one in missing)
    with Progress(f"I3D on {name}", total=len(clips), initial=done, unit="clip") as progress:
        try:
            for batch in _batches(missing, rule, extractor.batch_size):
                logits = extractor(np.stack([frames for _, _, frames in batch]))
                for (one, start, _), values in zip(batch, logits, strict=True):
                    one.unsaved[start] = known[Clip(one.number, start)] = values
                    one.save_if(cache, rule, _SAVE_EVERY)
                progress.update(len(batch))
        finally:  # an interrupted call saves the computed logits
            for one in missing:
                one.save_if(cache, rule, 1)
    return np.stack([known[clip] for clip in clips])


_Item = tuple[_Missing, int, np.ndarray]


def _batches(missing: Sequence[_Missing], rule: Rule, size: int) -> Iterator[list[_Item]]:
    """Yields batches of clips of the same shape, also from several videos."""
    waiting: dict[tuple[int, ...], list[_Item]] = {}
    for one in missing:
        for start, frames in read_clips(one.video, one.starts, rule):
            batch = waiting.setdefault(frames.shape, [])
            batch.append((one, start, frames))
            if len(batch) == size:
                yield waiting.pop(frames.shape)
    yield from waiting.values()
