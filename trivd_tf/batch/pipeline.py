"""The Beam pipeline: read | RunInference | write, one group of inputs at a time."""

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.frame_size import height_width
from trivd_tf.base.lock import directory_lock
from trivd_tf.batch import outputs
from trivd_tf.batch.inputs import ClipShape, Given, Inputs, VideoFiles
from trivd_tf.batch.outputs import FORMATS, Group, Predicted
from trivd_tf.data.beam_pipeline import open_pipeline
from trivd_tf.inference import load_predictor
from trivd_tf.inference.latents import check_truncation, latents
from trivd_tf.inference.predictor_base import Predictor

try:
    import apache_beam as beam
    from apache_beam.ml.inference.base import ModelHandler, RunInference
except ImportError as error:
    raise InputError(f"batches need Apache Beam ({error}); pip install 'trivd-tf[beam]'") from error


@dataclasses.dataclass(frozen=True)
class BatchOptions:
    """Options of a batch prediction.

    Attributes:
        model: a directory of `trivd export` or `trivd train`, or the address of an export.
        num_samples: number of futures per input.
        truncation: as in `Predictor.predict`.
        seed: seed of the latents, which depend only on it and the name of the input.
        num_frames: length of a future; defaults to the trained horizon.
        label: class of all inputs, for a model with classes; None uses the inputs' labels or 0.
        format: `videos` or `records`.
        group_size: number of inputs that are predicted, and with `records` written, together.
    """

    model: str
    num_samples: int = 1
    truncation: float | None = None
    seed: int = 0
    num_frames: int | None = None
    label: int | None = None
    format: str = "videos"
    group_size: int = 16

    def __post_init__(self) -> None:
        check_truncation(self.truncation)
        if self.format not in FORMATS:
            raise InputError(f"format must be one of {', '.join(FORMATS)}; got {self.format!r}")
        for name in ("num_samples", "group_size", "num_frames"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1; received {value}")


@dataclasses.dataclass(frozen=True)
class _Work:
    """A group in the pipeline; each stage adds and drops pixels."""

    group: Group
    given: tuple[Given, ...] = ()
    predicted: tuple[Predicted, ...] = ()
    failures: Mapping[str, str] = dataclasses.field(default_factory=dict)


class PredictorHandler(ModelHandler[_Work, _Work, Predictor]):
    """Beam's handler of an exported model: loads it once per worker and predicts each group."""

    def __init__(self, options: BatchOptions) -> None:
        super().__init__(min_batch_size=1, max_batch_size=1)  # a group already is a batch
        self._options = options

    def load_model(self) -> Predictor:
        return _load(self._options.model)

    def run_inference(
        self,
        batch: Sequence[_Work],
        model: Predictor,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[_Work]:
        return [_predict(work, model, self._options) for work in batch]

    def get_num_bytes(self, batch: Sequence[_Work]) -> int:
        return sum(given.conditioning.nbytes for work in batch for given in work.given)

    def get_metrics_namespace(self) -> str:
        return "trivd"


def predict_batch(
    inputs: Inputs, output: str, options: BatchOptions, beam_flags: Sequence[str] = ()
) -> dict[str, Any]:
    """Predicts every input once; resumes an interrupted run.

    Args:
        inputs: `VideoFiles` or `PreparedClips`.
        output: output folder, on a file system that the workers can access; see `outputs`.
        options: options of the prediction.
        beam_flags: flags for Apache Beam, such as `--runner=DataflowRunner --project=...`; without
            a runner, all cores of this machine are used.

    Returns:
        The report: numbers of `inputs` and `predicted`, and `failed`, reasons by name.

    Raises:
        InputError: there is no such model or input, `output` was begun with other options, or
            another process uses it.
        RunError: the pipeline stopped; the same call resumes it.
    """
    model = _load(options.model)
    shape = ClipShape(model.num_conditioning_frames, model.frame_size, model.stride, model.fps)
    if options.label is not None:
        model.predict(  # reports an invalid option now, and not once per group
            np.zeros((1, *_clip_shape(shape)), np.uint8), labels=options.label, num_frames=1
        )
    places = inputs.find(shape)
    stated = {**dataclasses.asdict(options), "inputs": _kind(inputs)}
    if options.format == "records":
        # The assignment of inputs to files must not change between runs.
        stated["input names"] = hashlib.sha256("\n".join(places).encode()).hexdigest()
    with directory_lock(output, "a batch job of trivd_tf"):
        groups = outputs.plan(output, places, stated, options.group_size)
        if groups:
            _run(inputs, shape, groups, output, options, beam_flags)
        return outputs.write_report(output, places, options.format)


def _run(
    inputs: Inputs,
    shape: ClipShape,
    groups: list[Group],
    output: str,
    options: BatchOptions,
    beam_flags: Sequence[str],
) -> None:
    unfilled = open_pipeline(beam_flags)
    try:
        with unfilled as pipeline:
            _ = (
                pipeline
                | "list groups" >> beam.Create(groups)
                | "spread over workers" >> beam.Reshuffle()
                | "read" >> beam.Map(_read, inputs, shape)
                | "predict" >> RunInference(PredictorHandler(options))
                | "write" >> beam.Map(_write, output, options.format)
            )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise RunError(
            f"{output}: the job stopped ({reason}); run the same command to resume"
        ) from error


def _read(group: Group, inputs: Inputs, shape: ClipShape) -> _Work:
    given, failures = [], {}
    for one in inputs.read(group.items, shape):
        if isinstance(one, Given):
            given.append(one)
        else:
            failures[one[0]] = one[1]
    return _Work(group, given=tuple(given), failures=failures)


def _predict(work: _Work, model: Predictor, options: BatchOptions) -> _Work:
    if not work.given:
        return work
    try:
        futures = _futures(work.given, model, options)
    except Exception as error:  # an error of one group must not stop the job
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        failures = {**work.failures, **{given.name: reason for given in work.given}}
        return dataclasses.replace(work, given=(), failures=failures)
    predicted = tuple(map(Predicted, work.given, futures))
    return dataclasses.replace(work, given=(), predicted=predicted)


def _futures(given: Sequence[Given], model: Predictor, options: BatchOptions) -> np.ndarray:
    """Predicts futures, uint8 `[n, num_samples, T, S, S, 3]`."""
    z = [
        latents(
            _own_seed(options.seed, one.name),
            num_clips=1,
            num_samples=options.num_samples,
            latent_size=model.latent_size,
            truncation=options.truncation,
        )
        for one in given
    ]
    labels = None
    if model.num_classes != 1:
        own = [one.label or 0 if options.label is None else options.label for one in given]
        labels = np.repeat(own, options.num_samples)
    frames, _ = model.predict_from_z(
        np.repeat(np.stack([one.conditioning for one in given]), options.num_samples, axis=0),
        np.concatenate(z).reshape(-1, model.latent_size),
        num_frames=options.num_frames,
        labels=labels,
    )
    return frames.reshape(len(given), options.num_samples, *frames.shape[1:])


def _own_seed(seed: int, name: str) -> int:
    """Returns an input's seed, which does not depend on its group."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:7], "big")


def _write(work: _Work, output: str, form: str) -> None:
    outputs.write_group(output, form, work.group, work.predicted, dict(work.failures))


@functools.lru_cache(maxsize=1)
def _load(model: str) -> Predictor:
    """Loads a model once per process; the local runner's workers are threads of this process."""
    return load_predictor(model)


def _clip_shape(shape: ClipShape) -> tuple[int, int, int, int]:
    return (shape.num_conditioning_frames, *height_width(shape.size), 3)


def _kind(inputs: Inputs) -> Any:
    """Returns the properties of the inputs that must not change; patterns may grow."""
    if isinstance(inputs, VideoFiles):
        return {"window": inputs.window}
    return dataclasses.asdict(inputs)  # type: ignore[call-overload]
