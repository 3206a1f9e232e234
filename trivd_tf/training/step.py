"""The train step: discriminators, then the generator (docs/architecture.md, section 6).

All functions here run inside a replica. Randomness depends only on the run's seed and the step: it
is drawn for the global batch, and each replica takes its rows. So results do not depend on the
number of devices.
"""

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.base.keras_private import leave_gradients_as_they_are
from trivd_tf.base.pixels import float_tensor
from trivd_tf.experiment import TrainingOptions
from trivd_tf.layers.islands import compiling_islands, island
from trivd_tf.layers.spectral_norm import (
    SpectralEmbedding,
    SpectralLayer,
    normalized_at_once,
    power_iterate,
    spectral_layers,
)
from trivd_tf.layers.walk import sublayers
from trivd_tf.models import Discriminator, Generator
from trivd_tf.ops import losses
from trivd_tf.training.ema import WeightAverage

Batch = dict[str, tf.Tensor]


def penalized_kernels(generator: keras.Model) -> list[keras.Variable]:
    """Return the raw weights under the orthogonality penalty: all but the class embedding."""
    return [
        layer.kernel
        for layer in sublayers(generator, SpectralLayer)
        if not isinstance(layer, SpectralEmbedding)
    ]


@dataclasses.dataclass
class GanStep:
    """Networks, their optimizers and the two updates.

    Attributes:
        generator, discriminators: the networks.
        generator_optimizer, discriminator_optimizer: the optimizer of each side.
        average: EMA of the generator's weights.
        options: hyperparameters of the run.
        replica_batch_size, num_replicas: how the global batch is divided.
        seed: seed of all randomness in the step.
        class_conditional: pass the data's labels to the networks instead of the dummy class 0.
        jit_compile: compile the step's islands with XLA (`layers.islands`).
    """

    generator: Generator
    discriminators: list[Discriminator]
    generator_optimizer: keras.optimizers.Optimizer
    discriminator_optimizer: keras.optimizers.Optimizer
    average: WeightAverage
    options: TrainingOptions
    replica_batch_size: int
    num_replicas: int
    seed: int
    class_conditional: bool = False
    jit_compile: bool = False

    def __post_init__(self) -> None:
        # `_apply` sums gradients over replicas, so that their norm is that of the global batch.
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            leave_gradients_as_they_are(optimizer)

    @property
    def discriminator_metrics(self) -> list[str]:
        """Names of the metrics of `update_discriminators`."""
        terms = ("loss", "real_score", "predicted_score")
        names = [f"{model.name}/{term}" for model in self.discriminators for term in terms]
        return [*names, "discriminators/gradient_norm"]

    @property
    def generator_metrics(self) -> list[str]:
        """Names of the metrics of `update_generator`."""
        names = [f"{model.name}/generator_loss" for model in self.discriminators]
        added = ["prediction_loss"] if self.options.prediction_loss else []
        own = ["orthogonal_penalty", *added, "loss", "gradient_norm"]
        return [*names, *(f"generator/{name}" for name in own)]

    def _seed(self, step: tf.Tensor, update: int | tf.Tensor) -> tf.Tensor:
        """Return the seed of one update in a step: discriminators from 0, the generator last."""
        count = self.options.discriminator_steps + 1
        root = tf.constant([self.seed, 0x7121D], tf.int64)
        number = tf.cast(step, tf.int64) * count + tf.cast(update, tf.int64)
        return tf.random.experimental.stateless_fold_in(root, number)

    def _own_rows(self, rows: tf.Tensor) -> tf.Tensor:
        """Return this replica's rows of a tensor drawn for the global batch."""
        if self.num_replicas == 1:
            return rows
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        size = self.replica_batch_size
        return tf.slice(
            rows,
            tf.concat([[replica * size], tf.zeros([rows.shape.rank - 1], tf.int32)], 0),
            [size, *rows.shape[1:]],
        )

    def draw_latents(self, seed: tf.Tensor) -> tf.Tensor:
        """Draw z, `[replica batch, latent]`, standard normal."""
        count = self.replica_batch_size * self.num_replicas
        shape = [count, self.generator.latent_size]
        return self._own_rows(tf.random.stateless_normal(shape, seed, dtype=self._dtype))

    @property
    def _dtype(self) -> tf.DType:
        return tf.float64 if self.options.precision == "float64" else tf.float32

    def _labels(self, batch: Batch) -> tf.Tensor:
        labels = tf.cast(batch["label"], tf.int32)
        return labels if self.class_conditional else tf.zeros_like(labels)

    def _view(self, model: Discriminator, videos: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        count = self.replica_batch_size * self.num_replicas
        choices = model.draw(count, videos.shape[1], tuple(videos.shape[2:4]), seed)
        return model.view(videos, {name: self._own_rows(rows) for name, rows in choices.items()})

    def _scores(
        self, model: Discriminator, view: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with normalized_at_once(model):
            return model.scores(view, labels)

    def _mix(self, model: Discriminator, r_x: tf.Tensor, r_xy: tf.Tensor) -> tf.Tensor:
        if self.options.mix_over_replicas and self.num_replicas > 1:
            r_xy = tf.distribute.get_replica_context().all_gather(r_xy, axis=0)
        return model.combine(r_x, r_xy)

    def _total(self, terms: list[tf.Tensor]) -> tf.Tensor:
        total = tf.add_n(terms)
        return total / len(terms) if self.options.mean_of_discriminators else total

    def predict(self, batch: Batch, seed: tf.Tensor) -> tf.Tensor:
        """Return conditioning frames followed by a new prediction, `[B, Tc + T, H, W, 3]`."""
        count = self.generator.num_conditioning_frames
        conditioning = float_tensor(batch["video"][:, :count], self._dtype)
        with normalized_at_once(self.generator):
            predicted = self.generator(
                conditioning, self.draw_latents(seed), labels=self._labels(batch), training=True
            )
        return tf.concat([conditioning, predicted], axis=1)

    def update_discriminators(
        self, batch: Batch, step: tf.Tensor, update: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Update all discriminators once, on real and newly predicted videos.

        Args:
            batch: this replica's clips: `video` uint8 `[B, Tc + T, H, W, 3]`, `label` int `[B]`.
            step: int64 scalar, number of generator updates done so far.
            update: int scalar, number of discriminator updates since then.

        Returns:
            This replica's losses, mean scores and gradient norm as scalars.
        """
        with compiling_islands(self.jit_compile):
            return self._update_discriminators(batch, self._seed(step, update))

    def _update_discriminators(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        seeds = tf.random.experimental.stateless_split(seed, 1 + 2 * len(self.discriminators))
        predicted = tf.stop_gradient(self.predict(batch, seeds[0]))
        real = float_tensor(batch["video"], self._dtype)
        labels = tf.tile(self._labels(batch), [2])
        metrics, terms, weights = {}, [], []
        for model in self.discriminators:
            power_iterate(model)
            weights += model.trainable_variables
        sources = [weight.value for weight in weights]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            for index, model in enumerate(self.discriminators):
                # Real and predicted in one forward pass: the weights are normalized once.
                views = [
                    self._view(model, real, seeds[1 + 2 * index]),
                    self._view(model, predicted, seeds[2 + 2 * index]),
                ]
                r_x, r_xy = self._scores(model, tf.concat(views, axis=0), labels)
                halves = zip(tf.split(r_x, 2), tf.split(r_xy, 2), strict=True)
                on_real, on_predicted = [self._mix(model, *half) for half in halves]
                terms.append(losses.hinge_discriminator_loss(on_real, on_predicted))
                metrics[f"{model.name}/loss"] = terms[-1]
                metrics[f"{model.name}/real_score"] = tf.reduce_mean(on_real)
                metrics[f"{model.name}/predicted_score"] = tf.reduce_mean(on_predicted)
            # `_apply` sums the gradients over replicas.
            loss = self._total(terms) / self.num_replicas
        metrics["discriminators/gradient_norm"] = self._apply(
            self.discriminator_optimizer, tape.gradient(loss, sources), weights
        )
        return metrics

    def update_generator(self, batch: Batch, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Update generator, encoder and EMA once (hinge loss and orthogonality penalty).

        A prediction loss is added if the options enable it. Arguments and return value are those of
        `update_discriminators`.
        """
        with compiling_islands(self.jit_compile):
            metrics = self._update_generator(
                batch, self._seed(step, self.options.discriminator_steps)
            )
            self._update_average(step + 1)
            return metrics

    def _update_generator(self, batch: Batch, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        seeds = tf.random.experimental.stateless_split(seed, 1 + len(self.discriminators))
        power_iterate(self.generator)
        weights = self.generator.trainable_variables
        sources = [weight.value for weight in weights]
        labels = self._labels(batch)
        metrics, terms = {}, []
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            videos = self.predict(batch, seeds[0])
            for index, model in enumerate(self.discriminators):
                scores = self._scores(model, self._view(model, videos, seeds[1 + index]), labels)
                terms.append(losses.hinge_generator_loss(self._mix(model, *scores)))
                metrics[f"{model.name}/generator_loss"] = terms[-1]
            penalty = self.penalty()
            metrics["generator/orthogonal_penalty"] = penalty
            loss = self._total(terms) + self.options.orthogonal_penalty * tf.cast(
                penalty, terms[0].dtype
            )
            if self.options.prediction_loss:
                difference = self.prediction_difference(batch, videos, seeds[0])
                metrics["generator/prediction_loss"] = difference
                loss += self.options.prediction_loss * difference
            metrics["generator/loss"] = loss
            loss = loss / self.num_replicas
        metrics["generator/gradient_norm"] = self._apply(
            self.generator_optimizer, tape.gradient(loss, sources), weights
        )
        return metrics

    def _update_average(self, step: tf.Tensor) -> None:
        island(self.average.update)(step)

    def prediction_difference(self, batch: Batch, videos: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Return the mean absolute difference of real frames and the mean of several draws.

        Args:
            batch: this replica's clips.
            videos: `[B, Tc + T, H, W, 3]`, the first draw, from `predict(batch, seed)`.
            seed: seed of that draw; those of the other draws follow from it.

        Returns:
            A scalar, for pixels in [-1, 1].
        """
        draws = self.options.prediction_draws
        seeds = tf.random.experimental.stateless_split(seed, draws)
        mean = tf.add_n([videos, *(self.predict(batch, seeds[i]) for i in range(1, draws))]) / draws
        real = float_tensor(batch["video"], self._dtype)
        count = self.generator.num_conditioning_frames
        return losses.prediction_loss(real[:, count:], mean[:, count:])

    def _apply(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradients: list[tf.Tensor],
        weights: list[keras.Variable],
    ) -> tf.Tensor:
        """Update the weights; return the norm of the gradient over all replicas."""
        # The class embedding's gradient is sparse, and its norm needs the rows added up first.
        summed = [tf.convert_to_tensor(gradient) for gradient in gradients]
        if self.num_replicas > 1:
            replica = tf.distribute.get_replica_context()
            summed = replica.all_reduce(tf.distribute.ReduceOp.SUM, summed)

        def apply(*gradients: tf.Tensor) -> tf.Tensor:
            optimizer.apply(list(gradients), weights)
            return tf.linalg.global_norm(gradients)

        return island(apply)(*summed)

    def penalty(self) -> tf.Tensor:
        """Return the unweighted orthogonality penalty of the generator's raw weights."""
        kernels = penalized_kernels(self.generator)

        def penalty() -> tf.Tensor:
            return tf.add_n([losses.orthogonal_penalty(tf.convert_to_tensor(k)) for k in kernels])

        return island(penalty)()

    def singular_values(self) -> dict[str, tf.Tensor]:
        """Return the largest first singular value of each network's raw weights."""
        networks: dict[str, Any] = {"generator": self.generator}
        networks |= {model.name: model for model in self.discriminators}
        return {
            f"{name}/largest_singular_value": tf.reduce_max(
                tf.stack([layer.singular_value() for layer in spectral_layers(network)])
            )
            for name, network in networks.items()
        }
