"""Prepares datasets once: decoded at the training size, sharded, and ready for random access.

    report = prepare("kinetics600", videos="clips", annotations=["train.csv"], output="k600")

Every shard is written atomically and deterministically, so an interrupted preparation is simply run
again. The result is an ordinary TensorFlow Datasets folder, which `trivd_tf.data.Prepared` reads.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, checked_size
from trivd_tf.base.storage import absolute
from trivd_tf.data.clips import require_fraction, require_integer, require_rate
from trivd_tf.data.prepare import layout
from trivd_tf.data.prepare.plan import ENCODINGS, Plan
from trivd_tf.data.prepare.run import options_of, run
from trivd_tf.data.prepare.sets.bair import plan_bair
from trivd_tf.data.prepare.sets.folder import plan_folder
from trivd_tf.data.prepare.sets.freedom_walks import plan_freedom_walks
from trivd_tf.data.prepare.sets.gymnasium_frames import plan_gymnasium
from trivd_tf.data.prepare.sets.kinetics600 import plan_kinetics600
from trivd_tf.data.prepare.sets.tfds_sets import plan_moving_mnist, plan_tfds_bair, plan_tfds_ucf101
from trivd_tf.data.prepare.sets.ucf101 import plan_ucf101

__all__ = ["KINDS", "Report", "prepare"]


@dataclasses.dataclass(frozen=True)
class _Way:
    """One kind of source of one dataset: its plan, and the options of the plan."""

    plan: Callable[..., Plan]
    needs: tuple[str, ...] = ()
    defaults: dict[str, Any] = dataclasses.field(default_factory=dict)
    takes_size: bool = False  # frames are generated at their final size, not resized


# The ways of one kind are distinguished by the first option that each requires.
_WAYS: dict[str, tuple[_Way, ...]] = {
    "kinetics600": (_Way(plan_kinetics600, ("videos", "annotations")),),
    "ucf101": (
        _Way(plan_ucf101, ("videos", "annotations")),
        _Way(plan_tfds_ucf101, ("tfds_dir",), {"official_split": 1}),
    ),
    "bair": (
        _Way(plan_bair, ("videos",), {"camera": "image_main"}),
        _Way(plan_tfds_bair, ("tfds_dir",), {"camera": "image_main"}),
    ),
    "moving_mnist": (_Way(plan_moving_mnist, ("tfds_dir",)),),
    "folder": (_Way(plan_folder, ("videos",), {"train_fraction": 0.9}),),
    "freedom_walks": (
        _Way(plan_freedom_walks, (), {"frames": 192_000, "rate": 17.5, "seed": 0}, takes_size=True),
    ),
    "gymnasium": (
        _Way(
            plan_gymnasium,
            ("env_id",),
            {"frames": 192_000, "seed": 0, "hold": 4, "policy": "random"},
        ),
    ),
}
KINDS = tuple(_WAYS)
_OF_FILES = ("kinetics600", "ucf101", "folder")


@dataclasses.dataclass(frozen=True)
class Report:
    """Report of a preparation.

    Attributes:
      output: folder of the dataset.
      content: content of its report.json: numbers of videos listed, read, written and skipped, the
        splits, and each skipped video with the reason.
      was_finished: whether the dataset was complete before, so that nothing was done.
    """

    output: str
    content: dict[str, Any]
    was_finished: bool

    def describe(self) -> str:
        """Returns a readable summary of a few lines."""
        content = self.content
        lines = [f"{self.output} was finished before; nothing to do."] if self.was_finished else []
        why = f" ({os.path.join(self.output, layout.REPORT)} says why)"
        lines.append(
            f"{content['kind']}: {content['written']} videos written, {content['skipped']} of "
            f"{content['listed']} skipped{why if content['skipped'] else ''}"
        )
        for split, numbers in content["splits"].items():
            lines.append(
                f"  {split}: {numbers['videos']} videos, {numbers['frames']} frames, "
                f"{numbers['bytes'] / 1e9:.3f} GB in {numbers['shards']} shards"
            )
        if content.get("frame_rates") and not content.get("fps"):
            lines.append(
                f"Its videos have different frame rates ({content['frame_rates']}) and play at "
                "different speeds to a model; --fps brings them to one."
            )
        return "\n".join(lines)


def prepare(
    kind: str,
    *,
    output: str,
    videos: str | None = None,
    annotations: Sequence[str] | None = None,
    tfds_dir: str | None = None,
    camera: str | None = None,
    official_split: int | None = None,
    train_fraction: float | None = None,
    frames: int | None = None,
    rate: float | None = None,
    seed: int | None = None,
    env_id: str | None = None,
    hold: int | None = None,
    policy: str | None = None,
    size: FrameSize = 64,
    fps: float | None = None,
    encoding: str = "raw",
    jpeg_quality: int = 95,
    videos_per_shard: int = 64,
    beam_flags: Sequence[str] = (),
) -> Report:
    """Prepares a dataset, resumes an interrupted run, or finds the dataset finished.

    Args:
      kind: "kinetics600", "ucf101", "bair", "moving_mnist", "folder", "freedom_walks" or
        "gymnasium".
      output: folder of the dataset; created if missing. Workers on other machines must be able to
        access it.
      videos: folder of the sources: Kinetics' videos, UCF-101/, softmotion30_44k/, or any videos.
      annotations: Kinetics' CSV files; for UCF-101 one folder, ucfTrainTestlist/.
      tfds_dir: instead of `videos`, the folder in which TensorFlow Datasets has prepared the
        dataset (ucf101, bair, moving_mnist).
      camera: BAIR: "image_main" (default) or "image_aux1".
      official_split: UCF-101 from TensorFlow Datasets: 1 (default), 2 or 3.
      train_fraction: folder: fraction for training, 0.9 by default.
      frames: generated datasets: approximate total number of frames, 192,000 by default.
      rate: freedom_walks: frames per second of game time, 17.5 by default.
      seed: generated datasets: determines every frame, 0 by default.
      size: size of the clips: smallest side of the stored frames, in pixels, or the (height, width)
        that they just cover.
      fps: frame rate to which videos are resampled by their time stamps, the `fps` of the clips;
        None stores every coded frame.
      encoding: "raw", exact and fastest to read, or "jpeg", several times smaller.
      jpeg_quality: 1 to 100.
      videos_per_shard: maximum number of videos per file; an interrupted run loses at most the
        files that were being written.
      beam_flags: options for Apache Beam, such as --runner=DataflowRunner; by default this
        machine's cores are used.

    Raises:
      InputError: sources or options are invalid, or `output` holds other files.
      RunError: writing failed; written files are kept, and the same call resumes.
    """
    size = checked_size("prepare.size", size)
    require_rate("prepare", "fps", fps)
    if fps is not None and (tfds_dir or kind not in _OF_FILES):
        raise InputError(
            f"--fps {fps:g}: {kind} has no time stamps here; leave it out (sets of video files "
            f"have them: {', '.join(_OF_FILES)} with --videos)"
        )
    require_integer("prepare", "videos_per_shard", videos_per_shard, 1)
    if encoding not in ENCODINGS:
        raise InputError(f"the encoding must be raw or jpeg; received {encoding!r}")
    if not isinstance(jpeg_quality, int) or not 1 <= jpeg_quality <= 100:
        raise InputError(f"the JPEG quality must lie in 1 to 100; received {jpeg_quality!r}")
    sources = {
        "videos": videos,
        "annotations": annotations,
        "tfds_dir": tfds_dir,
        "camera": camera,
        "official_split": official_split,
        "train_fraction": train_fraction,
        "frames": frames,
        "rate": rate,
        "seed": seed,
        "env_id": env_id,
        "hold": hold,
        "policy": policy,
    }
    given = {name: value for name, value in sources.items() if value not in (None, (), [])}
    make_plan, used = _choose_plan(kind, given, size)
    storage: dict[str, Any] = {
        "size": size,
        "fps": fps,
        "encoding": encoding,
        "jpeg_quality": jpeg_quality if encoding == "jpeg" else None,
        "videos_per_shard": videos_per_shard,
    }
    output = absolute(output)
    content, was_finished = run(
        make_plan,
        output=output,
        options=options_of(kind=kind, **used, **storage),
        size=size,
        fps=fps,
        encoding=encoding,
        jpeg_quality=jpeg_quality,
        videos_per_shard=videos_per_shard,
        beam_flags=beam_flags,
    )
    return Report(output, content, was_finished)


def _choose_plan(
    kind: str, given: dict[str, Any], size: FrameSize
) -> tuple[Callable[[], Plan], dict[str, Any]]:
    """Returns the function that makes the plan, and the source options with defaults."""
    if kind not in _WAYS:
        raise InputError(f"{kind!r} cannot be prepared; known are {', '.join(KINDS)}")
    fitting = [way for way in _WAYS[kind] if not way.needs or way.needs[0] in given]
    way = fitting[0] if len(fitting) == 1 else None
    if way is None or not set(way.needs) <= set(given) <= {*way.needs, *way.defaults}:
        choices = " or ".join(
            " ".join([*(f"--{name}" for name in way.needs), *(f"[--{n}]" for n in way.defaults)])
            for way in _WAYS[kind]
        )
        raise InputError(
            f"{kind} takes {choices}; received {', '.join(f'--{name}' for name in given) or 'none'}"
        )
    used = {**way.defaults, **given}
    for name in ("videos", "tfds_dir"):
        if name in used:
            used[name] = absolute(used[name])
    if "annotations" in used:
        paths = used["annotations"]
        used["annotations"] = [absolute(path) for path in _as_list(paths)]
    if "train_fraction" in used:
        require_fraction("prepare", "train_fraction", used["train_fraction"])
    made_at = {"size": size} if way.takes_size else {}
    return lambda: way.plan(**used, **made_at), used


def _as_list(paths: str | Sequence[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)
