"""One cell of a comparison: a configuration trained with one seed, then scored."""

import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_file, write_whole
from trivd_tf.comparison.budget import Budget, TimeLimit
from trivd_tf.evaluation import evaluate
from trivd_tf.evaluation.clips import batches_of
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.evaluation.partial import EvaluationStopped
from trivd_tf.evaluation.reporting.report import Row
from trivd_tf.evaluation.scored import model_candidate
from trivd_tf.experiment import Experiment
from trivd_tf.inference import GeneratorPredictor, Predictor, open_model
from trivd_tf.training import train
from trivd_tf.training.checkpoints import checkpoint_paths
from trivd_tf.training.loop import Stop

RESULT, SAMPLES, TIMES = "result.json", "samples.npz", "training_seconds.jsonl"
NUM_CLIPS = 4


@dataclasses.dataclass(frozen=True)
class CellResult:
    """Stored result of a finished cell.

    Attributes:
        name: name of the configuration.
        title: title of the experiment.
        seed: seed of the run.
        budget: budget as text.
        step: generator updates done.
        minutes: training time, as counted by `TimeLimit`.
        parameters: parameters of the generator, encoder included.
        rows: rows of the report: the model first, then the baselines.
        protocol: everything that the scores depend on.
    """

    name: str
    title: str
    seed: int
    budget: str
    step: int
    minutes: float
    parameters: int
    rows: list[Row]
    protocol: dict[str, Any]

    @property
    def model(self) -> Row:
        """The scores of the trained model."""
        return self.rows[0]

    def save(self, directory: pathlib.Path) -> None:
        """Write the result file, which marks the cell as finished."""
        write_whole(directory / RESULT, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, directory: pathlib.Path) -> "CellResult | None":
        """Read the result of a cell, or None if it is not finished.

        Raises:
            InputError: the file is damaged.
        """
        path = directory / RESULT
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text())
            content["rows"] = [Row(**row) for row in content["rows"]]
            return cls(**content)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(
                f"{path} is damaged ({error}): delete it and run the same command again"
            ) from error


def run_cell(
    experiment: Experiment,
    directory: pathlib.Path,
    *,
    name: str,
    seed: int,
    budget: Budget,
    stop: Stop | None = None,
) -> CellResult | None:
    """Train from the newest checkpoint in `directory` to the end of the budget, then score.

    Args:
        experiment: experiment to train.
        directory: model directory of the cell.
        name: name of the configuration.
        seed: seed of the run.
        budget: when training ends.
        stop: ends training early; the run is saved.

    Returns:
        The result, or None if the run was stopped.
    """
    limited = budget.applied(experiment)
    limit = TimeLimit(
        directory / TIMES, resume_at=_newest_step(directory), minutes=budget.minutes, outer=stop
    )
    if not limit.is_set():
        train(limited, model_dir=directory, seed=seed, stop=limit, on_loop=limit.add)
    if stop is not None and stop.is_set():
        return None
    should_stop = stop.is_set if stop is not None else (lambda: False)
    try:
        report = evaluate(limited, directory, seed=seed, should_stop=should_stop)
    except EvaluationStopped:
        return None
    model = open_model(directory, experiment=limited)
    predictor = model.predictor(None)
    assert isinstance(predictor, GeneratorPredictor)
    _save_samples(limited, predictor, directory / SAMPLES)
    result = CellResult(
        name=name,
        title=experiment.title or name,
        seed=seed,
        budget=str(budget),
        step=model.step,
        minutes=limit.seconds / 60.0,
        parameters=sum(
            int(np.prod(weight.shape)) for weight in predictor.generator.trainable_variables
        ),
        rows=list(report.rows),
        protocol={k: v for k, v in report.protocol.items() if k not in ("title", "step")},
    )
    result.save(directory)
    return result


def _newest_step(directory: pathlib.Path) -> int:
    paths = checkpoint_paths(directory / model_files.CHECKPOINTS)
    return int(paths[-1].rpartition("-")[2]) if paths else 0


def _save_samples(experiment: Experiment, predictor: Predictor, path: pathlib.Path) -> None:
    """Save the first test clips and their predicted continuations as uint8."""
    clip, options = experiment.clip, experiment.evaluation
    count = min(NUM_CLIPS, experiment.data.num_evaluation_clips(clip, options.split))
    real = next(
        batches_of(with_options(experiment, batch_size=count), options.split, num_clips=count)
    )
    predict = model_candidate(
        experiment, predictor, seed=options.seed, truncation=options.truncation
    )
    predicted = predict(real)[:, clip.num_conditioning_frames :]
    with whole_file(path) as partial, partial.open("wb") as file:
        np.savez(file, real=real.videos, predicted=predicted)
