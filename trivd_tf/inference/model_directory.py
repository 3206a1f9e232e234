"""A trained model out of its directory, ready to predict."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from trivd_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class RestoredModel:
    """A generator with averaged weights and standing statistics, and what is known of its run.

    Attributes:
        generator: a `trivd_tf.models.Generator`.
        stride: every stride-th frame of a video was used in training.
        title: name of the experiment, for people.
        data: what it was trained on.
        labels: the class names, one where the model has the dummy class only.
        step: generator updates done.
        config: the operative gin configuration, as text.
        run: what `run.json` holds.
        scores: of the model and of what it is compared with, figures by their names, as they are
            printed; empty where it was not evaluated.
        protocol: what the scores depend on, one line.
    """

    generator: Any
    stride: int = 1
    title: str = "TrIVD-GAN"
    data: str = "unknown"
    labels: tuple[str, ...] = ("dummy",)
    step: int = 0
    config: str = ""
    run: dict[str, Any] = dataclasses.field(default_factory=dict)
    scores: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    protocol: str = ""


def from_model_directory(
    path: str | os.PathLike[str], step: int | str | None = None
) -> RestoredModel:
    """Builds the model that `trivd train` left in `path`.

    Args:
        path: of the directory.
        step: of the checkpoint, or "best"; the newest when left out.

    Raises:
        InputError: `path` is no model directory, or holds no checkpoint yet.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such directory; give one that `trivd train` wrote")
    if not (path / "config.gin").is_file():
        raise InputError(
            f"{path}: no model directory (no config.gin in it); give one that `trivd train` wrote"
        )
    # What configured and wrote the directory lies above this floor, and uses it.
    from trivd_tf.restore import restore

    return restore(path, step=step)
