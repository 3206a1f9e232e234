"""I3D statistics of the real clips, computed once for a data set, split and protocol."""

import hashlib
import json
import os
import pathlib
from typing import TYPE_CHECKING

from trivd_tf.errors import InputError
from trivd_tf.metrics import FeatureExtractor, StreamedMoments
from trivd_tf.progress import Progress

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment


def cache_dir() -> pathlib.Path:
    """Where statistics are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "trivd_tf" / "real_statistics"


def cache_key(experiment: "Experiment") -> str:
    """Changes with everything that the statistics depend on."""
    options = experiment.evaluation
    parts = {
        "data": experiment.data.fingerprint(experiment.clip, options.split),
        "split": options.split,
        "num_samples": options.num_samples,
        "resize": options.resize,
        "frames": experiment.clip.num_frames,
        "size": experiment.clip.size,
        "classifier": options.i3d or "i3d-kinetics-400",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def real_features(experiment: "Experiment", extractor: FeatureExtractor) -> StreamedMoments:
    """Mean and covariance of the I3D logits of the evaluation clips, from the cache if there."""
    options = experiment.evaluation
    path = cache_dir() / f"{cache_key(experiment)}.npz"
    if path.exists():
        try:
            return StreamedMoments.load(path)
        except InputError:
            path.unlink(missing_ok=True)  # damaged: computed again
    moments = StreamedMoments()
    clips = experiment.data.evaluation_clips(
        experiment.clip,
        split=options.split,
        num_clips=options.num_samples,
        batch_size=options.batch_size,
    )
    with Progress("features of real clips", total=options.num_samples, unit="clip") as progress:
        for logits in extractor.stream(clips):
            moments.update(logits)
            progress.update(len(logits))
    path.parent.mkdir(parents=True, exist_ok=True)
    moments.save(path)
    return moments
