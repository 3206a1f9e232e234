"""Compares configurations when a run is resumed; bindings of the model must not change."""

from __future__ import annotations

from trivd_tf import config
from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RunPath

# Bindings that determine a run's networks; other values would not fit the saved weights.
_BINDINGS_OF_THE_MODEL = (
    "trivd_tf.models.",
    "trivd_tf.data.ClipSpec.num_conditioning_frames",
    "trivd_tf.data.ClipSpec.num_predicted_frames",
    "trivd_tf.data.ClipSpec.size",
    "trivd_tf.data.ClipSpec.stride",
    "trivd_tf.data.ClipSpec.fps",
    "trivd_tf.experiment.Experiment.clip",
    "trivd_tf.experiment.Experiment.class_conditional",
    "trivd_tf.experiment.Experiment.discriminators",
    "trivd_tf.experiment.Experiment.generator",
)


def changes_of_run(model_dir: RunPath, text: str) -> dict[str, str]:
    """Compares the operative configuration `text` with the one saved in `model_dir`.

    Returns:
        A one-line description of each changed binding, by its full name.

    Raises:
        InputError: a changed binding affects the model's networks or the meaning of its weights.
    """
    before = (model_dir / model_files.CONFIG).read_text(encoding="utf-8")
    shown = {
        name: f"{name.removeprefix('trivd_tf.')} was {_shown(old)} and is now {_shown(new)}"
        for name, (old, new) in config.changed_bindings(before, text).items()
    }
    contradictions = [
        change
        for name, change in shown.items()
        if name.rpartition("/")[2].startswith(_BINDINGS_OF_THE_MODEL)
    ]
    if contradictions:
        raise InputError(
            f"{model_dir} holds a model of another configuration: {'; '.join(contradictions)}; "
            "leave that as it was, or choose another --model_dir"
        )
    return shown


def _shown(value: str | None) -> str:
    return "not set" if value is None else value
