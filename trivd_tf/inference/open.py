"""Opens models for prediction: model directories, exports and addresses, on one or more devices."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from trivd_tf.base import shipped
from trivd_tf.base.errors import InputError
from trivd_tf.base.model_files import CONFIG, EXPORT_RECORD, SAVED_MODEL, is_export, is_model_dir
from trivd_tf.experiment import Experiment
from trivd_tf.inference.predictor import (
    GeneratorPredictor,
    ReplicatedPredictor,
    SavedModelPredictor,
)
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.runs.open import RestoredModel, experiment_of, open_run
from trivd_tf.runs.stored_weights import WeightsKey, file_digest
from trivd_tf.runs.weights import Step, choose_checkpoint

_REMOTE = ("http://", "https://", "gs://")


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A located model whose weights are read only when `predictor` is called.

    Attributes:
        step: number of generator updates done.
        identity: digest that changes with the weights.
        predictor: returns the predictor for a seed of the standing statistics, which matters only
            if they are estimated; None is the seed of the evaluation options.
        standing: origin of the standing statistics, for the report.
        weights: the `WeightsKey` of each seed, as JSON, once its predictor has been made.
    """

    step: int
    identity: str
    predictor: Callable[[int | None], Predictor]
    standing: str
    weights: dict[int, dict[str, Any]] = dataclasses.field(default_factory=dict)


def open_model(
    path: str | os.PathLike[str],
    *,
    step: Step = None,
    experiment: Experiment | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> OpenedModel:
    """Finds the model in a model directory or an export.

    Args:
        path: a model directory or an export.
        step: checkpoint step of a model directory, or "best"; defaults to the newest.
        experiment: the experiment of the run, whose evaluation options define how the standing
            statistics are estimated; defaults to the saved configuration.
        strategy: distributes clips over its replicas.

    Raises:
        InputError: there is no model or no such checkpoint, or a step or several devices were
            requested for an export.
    """
    path = Path(path)
    several = strategy is not None and strategy.num_replicas_in_sync > 1
    if is_export(path):
        if step is not None:
            raise InputError(f"--step {step}: {path} is an exported model, which has one step only")
        if several:
            raise InputError(
                f"--strategy: the exported model {path} runs on one device; score the model "
                "directory that it came from on several"
            )
        return _exported(path)
    return _of_run(experiment or experiment_of(path), path, step, strategy if several else None)


def _exported(path: Path) -> OpenedModel:
    predictor = SavedModelPredictor(path)
    try:
        step = int(json.loads((path / EXPORT_RECORD).read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: {EXPORT_RECORD} cannot be read ({error}); export it again"
        ) from error
    variables = path / "variables" / "variables.index"
    return OpenedModel(step, file_digest(variables), lambda seed: predictor, "the export's own")


def _of_run(
    experiment: Experiment, path: Path, step: Step, strategy: tf.distribute.Strategy | None
) -> OpenedModel:
    options = experiment.evaluation
    checkpoint, found = choose_checkpoint(path, step)
    made: dict[int, Predictor] = {}
    weights: dict[int, dict[str, Any]] = {}

    def predictor(seed: int | None) -> Predictor:
        seed = options.seed if seed is None else seed
        if seed not in made:
            made.clear()  # one generator at a time
            restored = open_run(
                path, step=found, experiment=experiment, seed=seed, strategy=strategy
            )
            made[seed] = as_predictor(restored.generator, strategy, **_options_of(restored))
            if restored.weights is not None:
                weights[seed] = restored.weights.to_json()
        return made[seed]

    standing = (
        f"{options.standing_batches} x {options.standing_batch_size} training clips of "
        f"{experiment.data.name}"
    )
    identity = file_digest(Path(f"{checkpoint}.index"))
    return OpenedModel(found, identity, predictor, standing, weights)


def load_predictor(
    path: str | os.PathLike[str],
    step: int | str | None = None,
    *,
    standing_batches: int | None = None,
    standing_batch_size: int | None = None,
) -> Predictor:
    """Loads a predictor from the output of `trivd train` or `trivd export`.

    Prints one line on stderr that states which weights are used.

    Args:
        path: a model directory, the directory of an exported SavedModel, the name of a model
            included in the package (`small`), or the address of an export that TensorFlow Hub can
            fetch (`https://...`, `gs://...`).
        step: checkpoint step of a model directory, or "best"; defaults to the newest.
        standing_batches, standing_batch_size: number and size of the batches for a model
            directory's standing statistics; default to its configuration.

    Raises:
        InputError: `path` is not a model, or a step was requested for an export.
    """
    if str(path).startswith(_REMOTE):
        path = _fetch(str(path))
    path = shipped.find_model(path)
    if is_export(path):
        if step is not None:
            raise InputError(f"--step {step}: {path} is an exported model, which has one step only")
        if standing_batches or standing_batch_size:
            raise InputError(
                f"--standing_batches, --standing_batch_size: the standing statistics of {path}, an "
                "exported model, are part of it; leave them out"
            )
        predictor = SavedModelPredictor(path)
        _state_weights(path)
        return predictor
    if not path.exists():
        names = ", ".join(shipped.shipped_models())
        raise InputError(
            f"{path}: no such directory; give a model directory or an exported model"
            + (f", or one of those that come with trivd_tf: {names}" if names else "")
        )
    if not is_model_dir(path):
        raise InputError(
            f"{path}: neither a model directory (no {CONFIG} in it) nor an exported SavedModel "
            f"(no {SAVED_MODEL})"
        )
    restored = open_run(
        path,
        step=step,
        standing_batches=standing_batches,
        standing_batch_size=standing_batch_size,
    )
    return as_predictor(restored.generator, **_options_of(restored))


def _state_weights(export_dir: Path) -> None:
    """Prints the weights named in `export.json`, or that it names none."""
    try:
        held = json.loads((export_dir / EXPORT_RECORD).read_text(encoding="utf-8"))["weights"]
        print(f"weights: of the export {export_dir}: {WeightsKey(**held)}", file=sys.stderr)
    except (OSError, ValueError, KeyError, TypeError):
        print(f"weights: of the export {export_dir}, which does not name them", file=sys.stderr)


def as_predictor(
    generator: Any, strategy: tf.distribute.Strategy | None = None, **options: Any
) -> GeneratorPredictor:
    """Wraps a generator in a predictor, replicated if `strategy` has several replicas.

    Args:
        generator: a generator with averaged weights and standing statistics set.
        strategy: the strategy under which the generator was created.
        **options: options of `GeneratorPredictor`.
    """
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return GeneratorPredictor(generator, **options)
    return ReplicatedPredictor(generator, strategy, **options)


def _options_of(restored: RestoredModel) -> dict[str, Any]:
    """Returns the `GeneratorPredictor` options of a restored run."""
    return {
        "stride": restored.stride,
        "fps": restored.fps,
        "class_names": restored.labels,
    }


def _fetch(handle: str) -> str:
    """Downloads an export into TensorFlow Hub's cache, once."""
    try:
        return shipped.fetch_from_hub(handle)
    except Exception as error:  # the library passes through any network error
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{handle}: could not be fetched ({reason})") from error
