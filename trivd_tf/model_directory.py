"""A run's directory as a model: what predicts, exports and shows it starts here."""

import json
import pathlib
from typing import Any

from trivd_tf import config
from trivd_tf.inference.model_directory import RestoredModel
from trivd_tf.training.restore import evaluation_generator


def restore(model_dir: str | pathlib.Path, step: int | None = None) -> RestoredModel:
    """The generator of a run with averaged weights and standing statistics, and its story.

    Args:
        model_dir: what `trivd train` wrote.
        step: of the checkpoint; the newest when left out.

    Raises:
        InputError: not a model directory, no checkpoint in it, or one that cannot be read.
    """
    model_dir = pathlib.Path(model_dir).expanduser()
    experiment = config.load_run(model_dir)
    generator, step = evaluation_generator(experiment, model_dir, step=step)
    names = getattr(experiment.data, "class_names", None) if experiment.class_conditional else None
    return RestoredModel(
        generator=generator,
        stride=experiment.clip.stride,
        title=experiment.title or model_dir.name,
        data=experiment.data.name,
        labels=tuple(names or ["dummy"]),
        step=step,
        config=(model_dir / config.FILE_NAME).read_text(),
        run=_json(model_dir / "run.json"),
        evaluation=_json(model_dir / "evaluations" / str(step) / "report.json"),
    )


def _json(path: pathlib.Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where there is none or it was cut off."""
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
