"""TensorBoard summaries: losses, scores, gradient norms, singular values, times and videos."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.base.pixels import float_tensor, to_bytes
from trivd_tf.base.storage import RunPath
from trivd_tf.experiment import Experiment
from trivd_tf.training.compiled_loop import WAITING
from trivd_tf.training.step import GanStep

_SAMPLES = 4


def gif_summary(videos: np.ndarray, milliseconds: int = 120) -> bytes:
    """Encode uint8 `[B, T, H, W, 3]` as one animated GIF, the videos side by side."""
    frames = [
        Image.fromarray(np.concatenate(list(frame), axis=1)) for frame in videos.swapaxes(0, 1)
    ]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds,
        loop=0,
    )
    return buffer.getvalue()


class Summaries:
    """Writes the loop's metrics and sample videos to TensorBoard.

    Args:
        directory: TensorBoard's log directory of the run.
        experiment: supplies summary intervals and test clips to predict.
        step: networks whose weights and predictions are shown.
    """

    def __init__(self, directory: RunPath, experiment: Experiment, step: GanStep):
        self._writer = tf.summary.create_file_writer(str(directory))
        self._experiment = experiment
        self._step = step
        self._clips: tf.Tensor | None = None

    def write(self, metrics: dict[str, np.ndarray], step: int, seconds: float) -> None:
        """Write the scalars and videos due at `step`; `metrics` are those of the last loop."""
        options = self._experiment.training
        with self._writer.as_default(step=step):
            if step % options.summary_every_steps == 0:
                self._scalars(metrics, seconds)
            if options.sample_every_steps and step % options.sample_every_steps == 0:
                self._videos()

    def _scalars(self, metrics: dict[str, np.ndarray], seconds: float) -> None:
        count = len(metrics["generator/loss"])
        for name, values in metrics.items():
            if name != WAITING:
                tf.summary.scalar(name, float(values[-1]))
        tf.summary.scalar("time/seconds_a_step", seconds / count)
        if WAITING in metrics:
            waiting = float(metrics[WAITING].sum())
            tf.summary.scalar("time/share_waiting_for_data_at_most", waiting / seconds)
        for name, value in self._step.singular_values().items():
            tf.summary.scalar(name, value)

    def _videos(self) -> None:
        """Write real test clips and predictions with batch moments as animated images."""
        experiment = self._experiment
        if self._clips is None:
            count = self._num_samples()
            if not count:
                return
            dataset = experiment.data.evaluation_clips(
                experiment.clip, split=self._split, num_clips=count, batch_size=count
            )
            self._clips = next(iter(dataset))["video"]
        step = self._step
        count = step.generator.num_conditioning_frames
        real = self._clips.numpy()
        conditioning = float_tensor(real[:, :count], step._dtype)
        z = tf.random.stateless_normal(
            [len(real), step.generator.latent_size], [step.seed, 0], dtype=step._dtype
        )
        predicted = to_bytes(step.generator(conditioning, z, training=True).numpy())
        videos = np.concatenate([real, np.concatenate([real[:, :count], predicted], 1)], axis=2)
        height, width = videos.shape[2], videos.shape[0] * videos.shape[3]
        image = tf.compat.v1.Summary.Image(
            encoded_image_string=gif_summary(videos), height=height, width=width, colorspace=3
        )
        value = tf.compat.v1.Summary.Value(tag="real_above_predicted", image=image)
        tf.summary.experimental.write_raw_pb(
            tf.compat.v1.Summary(value=[value]).SerializeToString()
        )

    @property
    def _split(self) -> str:
        """Split of the sample videos: test clips if there are any."""
        return "test" if self._experiment.data.has_test_clips else "train"

    def _num_samples(self) -> int:
        held = self._experiment.data.num_evaluation_clips(self._experiment.clip, self._split)
        return min(_SAMPLES, held)

    def problem_with_samples(self) -> str | None:
        """Return why there will be fewer or no sample videos, or None."""
        try:
            count = self._num_samples()
        except InputError as error:
            return f"no sample videos: {error}"
        if count == _SAMPLES:
            return None
        return (
            f"sample videos of {count} clips instead of {_SAMPLES}: the {self._split} split has no "
            "more"
        )

    def close(self) -> None:
        """Flush and close the summary writer."""
        self._writer.close()
