"""I3D statistics of the real clips, cached by data set, split and protocol."""

import dataclasses
import os
import pathlib
from collections.abc import Callable

import numpy as np

from trivd_tf.base.progress import Progress
from trivd_tf.evaluation.clips import batches_of, sample_counts
from trivd_tf.evaluation.logits import LogitsFile
from trivd_tf.evaluation.partial import Arrays, PartialResult, below, digest, prefixed
from trivd_tf.experiment import Experiment
from trivd_tf.metrics import FeatureExtractor, StreamedMoments

# Statistics of the first n clips, by n.
MomentsByCount = dict[int, StreamedMoments]


@dataclasses.dataclass(frozen=True)
class RealFeatures:
    """I3D features of the real clips.

    Attributes:
        by_count: moments of the first n clips, for each n of `sample_counts`.
        logits: logits of all clips, `[N, 400]`, in a file.
    """

    by_count: MomentsByCount
    logits: np.ndarray


def cache_dir() -> pathlib.Path:
    """Return the directory that keeps statistics between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "trivd_tf" / "real_statistics"


def cache_key(experiment: Experiment) -> str:
    """Return a key of everything that the statistics depend on."""
    options = experiment.evaluation
    return digest(
        {
            "data": experiment.data.fingerprint(experiment.clip, options.split),
            "split": options.split,
            "num_samples": options.num_samples,
            "counts": sample_counts(options.num_samples),
            "resize": options.resize,
            "frames": experiment.clip.num_frames,
            "size": experiment.clip.size,
            "classifier": options.i3d or "i3d-kinetics-400",
            "logits": "in a file beside the moments",
        }
    )


def real_features(
    experiment: Experiment,
    extractor: FeatureExtractor,
    should_stop: Callable[[], bool] = lambda: False,
) -> RealFeatures:
    """Return I3D logits of the evaluation clips and their moments, cached if possible.

    Raises:
        EvaluationStopped: `should_stop` returned True; the next call resumes from there.
    """
    options = experiment.evaluation
    key = cache_key(experiment)
    partial = PartialResult(cache_dir() / f"{key}.npz", key, should_stop)
    logits = LogitsFile(partial.path)
    moments, found, done = StreamedMoments(), MomentsByCount(), 0
    stored = partial.load()
    if stored is not None and logits.resume(
        str(stored["logits"]),
        int(stored["done"]),
        complete=int(stored["done"]) == options.num_samples,
    ):
        done = int(stored["done"])
        moments = StreamedMoments.from_arrays(below("all", stored))
        found = {
            count: StreamedMoments.from_arrays(below(str(count), stored))
            for count in sample_counts(options.num_samples)
            if count <= done
        }
    clips = batches_of(experiment, options.split, first=done, num_clips=options.num_samples - done)

    def arrays() -> Arrays:
        kept = prefixed("all", moments.arrays()) | {"logits": logits.name}
        for count, part in found.items():
            kept |= prefixed(str(count), part.arrays())
        return kept

    with Progress(
        "features of real clips", total=options.num_samples, initial=done, unit="clip"
    ) as progress:
        for batch in clips:
            rows = extractor(batch.videos)
            logits.append(rows)
            update_by_count(moments, rows, sample_counts(options.num_samples), found)
            done += len(batch)
            progress.update(len(batch))
            partial.step(done, arrays, last=done == options.num_samples)
    logits.remove_others()
    return RealFeatures(found, logits.rows())


def update_by_count(
    moments: StreamedMoments,
    logits: np.ndarray,
    counts: list[int],
    found: MomentsByCount,
) -> None:
    """Add a batch to `moments`, and a copy to `found` at each of `counts` reached."""
    begin = moments.count
    edges = [n - begin for n in counts if begin < n < begin + len(logits)]
    for part in np.split(logits, edges):
        moments.update(part)
        if moments.count in counts and len(part):
            found[moments.count] = moments.copy()
