"""What is scored: a checkpoint of a run, or an exported model; on one device or several."""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.base.model_files import EXPORT_RECORD, is_export
from trivd_tf.base.replicas import OverReplicas
from trivd_tf.experiment import Experiment
from trivd_tf.inference.horizon import predict_horizon, predict_horizon_with_motion
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.runs.stored_weights import file_digest
from trivd_tf.runs.weights import Step, choose_checkpoint, evaluation_weights


@dataclasses.dataclass(frozen=True)
class ScoredModel:
    """A model, ready to be scored several times.

    Attributes:
        step: generator updates done.
        identity: changes with the weights.
        predictor: of a run, by its seed: of the standing statistics, where they are estimated.
        standing: how the standing statistics came about, for the report.
        weights: what each seed's weights depend on (`WeightsKey`), once they were predicted with.
    """

    step: int
    identity: str
    predictor: Callable[[int], Predictor]
    standing: str
    weights: dict[int, dict[str, Any]] = dataclasses.field(default_factory=dict)


class ReplicatedPredictor(GeneratorPredictor):
    """Predicts with a generator made under a strategy, each replica a share of the clips."""

    def __init__(self, generator: Any, strategy: tf.distribute.Strategy, *, stride: int = 1):
        super().__init__(generator, stride=stride)
        self._over_replicas = {
            False: OverReplicas(strategy, lambda *given: predict_horizon(generator, *given)),
            True: OverReplicas(
                strategy, lambda *given: predict_horizon_with_motion(generator, *given)
            ),
        }

    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if labels is None:
            labels = np.zeros([len(z)], np.int32)  # the dummy class
        outputs = self._over_replicas[with_motion](conditioning, z, labels)
        return outputs["frames"], outputs["flow"] if with_motion else None


def open_model(
    experiment: Experiment,
    path: str | pathlib.Path,
    *,
    step: Step = None,
    strategy: tf.distribute.Strategy | None = None,
) -> ScoredModel:
    """The model in a model directory or in an export.

    Args:
        experiment: what it was trained by; its evaluation options say how the standing statistics
            are estimated.
        path: either kind of directory.
        step: of the checkpoint, or "best"; the newest when left out.
        strategy: shares clips out between its replicas.

    Raises:
        InputError: no such checkpoint; or a step or several devices asked of an export.
    """
    several = strategy is not None and strategy.num_replicas_in_sync > 1
    if is_export(path):
        if step is not None:
            raise InputError(f"--step {step}: {path} is an exported model, which has one step only")
        if several:
            raise InputError(
                f"--strategy: the exported model {path} runs on one device; score the model "
                "directory that it came from on several"
            )
        return _exported(pathlib.Path(path))
    return _of_run(experiment, path, step, strategy if several else None)


def _exported(path: pathlib.Path) -> ScoredModel:
    predictor = SavedModelPredictor(path)
    try:
        step = int(json.loads((path / EXPORT_RECORD).read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{path}: {EXPORT_RECORD} cannot be read ({error}); export it again"
        ) from error
    variables = path / "variables" / "variables.index"
    return ScoredModel(step, file_digest(variables), lambda seed: predictor, "the export's own")


def _of_run(
    experiment: Experiment,
    path: str | pathlib.Path,
    step: Step,
    strategy: tf.distribute.Strategy | None,
) -> ScoredModel:
    options = experiment.evaluation
    checkpoint, found = choose_checkpoint(path, step)
    made: dict[int, Predictor] = {}
    weights: dict[int, dict[str, Any]] = {}

    def predictor(seed: int) -> Predictor:
        if seed not in made:
            made.clear()  # one generator at a time
            generator, key = evaluation_weights(
                experiment, path, step=found, seed=seed, strategy=strategy
            )
            made[seed] = as_predictor(generator, strategy, stride=experiment.clip.stride)
            weights[seed] = key.to_json()
        return made[seed]

    standing = (
        f"{options.standing_batches} x {options.standing_batch_size} training clips of "
        f"{experiment.data.name}"
    )
    identity = file_digest(pathlib.Path(f"{checkpoint}.index"))
    return ScoredModel(found, identity, predictor, standing, weights)


def as_predictor(
    generator: Any, strategy: tf.distribute.Strategy | None, *, stride: int = 1
) -> Predictor:
    """Predicts with a generator, on the replicas of `strategy` if there are several."""
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return GeneratorPredictor(generator, stride=stride)
    return ReplicatedPredictor(generator, strategy, stride=stride)
