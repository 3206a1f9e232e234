"""The train step against the objective written down independently, in float64.

The discriminators are real, and small; their features come from the models, everything else from
`numpy_objective`. The generator is one linear map, so that its frames are computed in NumPy too.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import numpy_objective as paper
from trivd_tf import data, evaluation, models, training
from trivd_tf.experiment import Experiment
from trivd_tf.layers.spectral_norm import SpectralDense, SpectralEmbedding, spectral_layers
from trivd_tf.training.loop import build_step

GIVEN, PREDICTED, SIDE, BATCH, CLASSES, LATENT = 2, 3, 16, 3, 2, 4
RATES = {"generator_learning_rate": 1e-3, "discriminator_learning_rate": 4e-3}


class LinearGenerator(keras.Model):
    """tanh of a spectrally normalised linear map of [z; e], plus half of the mean given frame."""

    def __init__(self, name=None, dtype=None, **_):
        super().__init__(name=name, dtype=dtype)
        self.num_conditioning_frames, self.latent_size = GIVEN, LATENT
        options = {"dtype": self.dtype_policy}
        self.embedding = SpectralEmbedding(CLASSES, 3, spectral_norm=False, **options)
        self.affine = SpectralDense(PREDICTED * SIDE * SIDE * 3, **options)

    def build_variables(self):
        self(tf.zeros([1, GIVEN, SIDE, SIDE, 3], tf.float64), tf.zeros([1, LATENT], tf.float64))

    def call(self, conditioning_frames, z, labels=None, training=False):
        if labels is None:
            labels = tf.zeros([tf.shape(z)[0]], tf.int32)
        outputs = self.affine(tf.concat([z, self.embedding(labels)], -1))
        frames = tf.reshape(outputs, [-1, PREDICTED, SIDE, SIDE, 3])
        return tf.tanh(frames + 0.5 * tf.reduce_mean(conditioning_frames, 1, keepdims=True))


class Eager(Experiment):
    """Builds the discriminators by a call: nothing is traced."""

    def _build_discriminators(self):
        found = self.discriminators(
            num_conditioning_frames=GIVEN, num_classes=CLASSES, dtype=self.dtype_policy
        )
        for model in found:
            model(tf.zeros([1, GIVEN + PREDICTED, SIDE, SIDE, 3], tf.float64))
        return found


class Labelled(data.BouncingDigits):
    class_names = ("even", "odd")


def make_experiment(decomposition="dvd_gan_fp_stronger", **options):
    return Eager(
        clip=data.ClipSpec(num_conditioning_frames=GIVEN, num_predicted_frames=PREDICTED, size=16),
        data=Labelled(),
        generator=LinearGenerator,
        discriminators=models.discriminators(
            channel_multiplier=1, decomposition=decomposition, num_sampled_frames=2
        ),
        training=training.TrainingOptions(
            **{
                **RATES,
                "batch_size": BATCH,
                "precision": "float64",
                "optimizer": "sgd",
                "orthogonal_penalty": 0.3,
                "ema_decay": 0.75,
                "ema_start_step": 8,
                **options,
            }
        ),
        evaluation=evaluation.EvaluationOptions(),
        class_conditional=True,
    )


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """None here: the run has a seed of its own."""


@dataclasses.dataclass
class Recorded:
    """What one update drew, moved and returned."""

    metrics: dict
    latents: list
    choices: dict
    before: dict
    after: dict
    vectors_before: dict
    vectors: dict
    batch: dict


class Recorder:
    """Runs updates and notes the random draws, the weights and the spectral vectors."""

    def __init__(self, step):
        self.step, self.latents, self.choices = step, [], {}
        draw_latents = step.draw_latents

        def latents(seed):
            self.latents.append(draw_latents(seed).numpy())
            return tf.constant(self.latents[-1])

        step.draw_latents = latents
        for model in step.discriminators:
            self._record_draws(model)

    def _record_draws(self, model):
        draw, found = model.draw, self.choices.setdefault(model.name, [])

        def recorded(*given, **named):
            drawn = draw(*given, **named)
            found.append({name: rows.numpy() for name, rows in drawn.items()})
            return drawn

        object.__setattr__(model, "draw", recorded)

    def networks(self):
        return [self.step.generator, *self.step.discriminators]

    def weights(self):
        return {
            network.name: [weight.numpy() for weight in network.trainable_variables]
            for network in self.networks()
        }

    def vectors(self):
        return {
            network.name: [layer.u.numpy() for layer in spectral_layers(network)]
            for network in self.networks()
        }

    def __call__(self, update, batch, *arguments):
        self.latents.clear()
        for found in self.choices.values():
            found.clear()
        before, vectors_before = self.weights(), self.vectors()
        metrics = {name: float(value) for name, value in update(batch, *arguments).items()}
        return Recorded(
            metrics,
            list(self.latents),
            {name: list(found) for name, found in self.choices.items()},
            before,
            self.weights(),
            vectors_before,
            self.vectors(),
            batch,
        )


def make_batch(seed):
    rng = np.random.default_rng(seed)
    shape = [BATCH, GIVEN + PREDICTED, SIDE, SIDE, 3]
    return {
        "video": tf.constant(rng.integers(0, 256, shape), tf.uint8),
        "label": tf.constant(rng.integers(0, CLASSES, BATCH), tf.int32),
    }


@pytest.fixture(scope="module")
def recorded():
    """Two updates of the discriminators and one of the generator, at step 7."""
    step = build_step(make_experiment(), tf.distribute.get_strategy(), 5)
    rng = np.random.default_rng(0)
    for network in (step.generator, *step.discriminators):
        for weight in network.trainable_variables:  # not orthogonal, and biases that matter
            weight.assign(weight.numpy() + rng.normal(0, 0.2, weight.shape))
    run = Recorder(step)
    number = tf.constant(7, tf.int64)
    found = [
        run(step.update_discriminators, make_batch(0), number, tf.constant(0)),
        run(step.update_discriminators, make_batch(1), number, tf.constant(1)),
        run(step.update_generator, make_batch(2), number),
    ]
    averages = [average.numpy() for average in step.average.averages]
    found.append(run(step.update_generator, make_batch(3), number + 1))
    averages = [averages, [average.numpy() for average in step.average.averages]]
    return step, found, averages


def frames_of(batch, z, weights, u):
    """Given frames and prediction in NumPy; `weights` in the order of the generator's."""
    table, kernel, bias = weights
    video = batch["video"].numpy() / 127.5 - 1.0
    condition = np.concatenate([z, table[batch["label"].numpy()]], -1)
    frames = condition @ paper.normalized(kernel, u) + bias
    frames = frames.reshape(-1, PREDICTED, SIDE, SIDE, 3)
    given = video[:, :GIVEN]
    predicted = np.tanh(frames + 0.5 * given.mean(1, keepdims=True))
    return np.concatenate([given, predicted], 1), video


def set_state(network, weights, vectors):
    for variable, value in zip(network.trainable_variables, weights, strict=True):
        variable.assign(value)
    for layer, u in zip(spectral_layers(network), vectors, strict=True):
        layer.u.assign(u)


def outputs_of(model, view, labels):
    """Features from the model, the head in NumPy."""
    features = model.features(tf.constant(view)).numpy()
    score = paper.normalized(model.score.kernel.numpy(), model.score.u.numpy())
    embedding = paper.normalized(model.embedding.kernel.numpy(), model.embedding.u.numpy())
    return paper.outputs(features, labels, score, model.score.bias.numpy(), embedding)


def judged(model, videos, choices, labels):
    seen = paper.view(videos, choices, model.crop_factor, model.downsample_factor)
    return outputs_of(model, seen, labels)


def discriminator_losses(step, found, weights):
    """Each discriminator's loss with other weights, at the vectors that the update used."""
    batch, name = found.batch, step.generator.name
    u = found.vectors_before[name][0]  # the generator's did not move
    predicted, real = frames_of(batch, found.latents[0], found.before[name], u)
    losses, labels = {}, batch["label"].numpy()
    for model in step.discriminators:
        set_state(model, weights[model.name], found.vectors[model.name])
        on_real, on_predicted = found.choices[model.name]
        losses[model.name] = paper.discriminator_loss(
            judged(model, real, on_real, labels), judged(model, predicted, on_predicted, labels)
        )
    return losses


def generator_losses(step, found, weights):
    batch = found.batch
    u = found.vectors[step.generator.name][0]
    videos, _ = frames_of(batch, found.latents[0], weights, u)
    losses, labels = {}, batch["label"].numpy()
    for model in step.discriminators:
        set_state(model, found.before[model.name], found.vectors_before[model.name])
        (choices,) = found.choices[model.name]
        losses[model.name] = paper.generator_loss(judged(model, videos, choices, labels))
    return losses, paper.penalty([weights[1]])


@pytest.mark.parametrize("update", [0, 1])
def test_discriminators_losses(recorded, update):
    step, found, _ = recorded
    losses = discriminator_losses(step, found[update], found[update].before)
    assert len(losses) == 3
    for name, loss in losses.items():
        np.testing.assert_allclose(found[update].metrics[f"{name}/loss"], loss, rtol=1e-9)


@pytest.mark.parametrize("update", [0, 1])
def test_discriminators_move_against_the_gradient_of_the_sum_of_their_losses(recorded, update):
    """`found.after` is w - rate * gradient, so it gives the slope along any direction."""
    step, found, _ = recorded
    found = found[update]
    rng = np.random.default_rng(1)
    for model in step.discriminators:
        direction = {
            name: [rng.normal(size=w.shape) * (name == model.name) for w in weights]
            for name, weights in found.before.items()
        }
        total = []
        for sign in (1, -1):
            moved = {
                name: [w + sign * 1e-6 * d for w, d in zip(ws, direction[name], strict=True)]
                for name, ws in found.before.items()
            }
            total.append(sum(discriminator_losses(step, found, moved).values()))
        slope = sum(
            ((before - after) * d).sum() / RATES["discriminator_learning_rate"]
            for before, after, d in zip(
                found.before[model.name],
                found.after[model.name],
                direction[model.name],
                strict=True,
            )
        )
        np.testing.assert_allclose((total[0] - total[1]) / 2e-6, slope, rtol=1e-5)


def test_generators_loss_and_penalty(recorded):
    step, found, _ = recorded
    for one in found[2:]:
        losses, penalty = generator_losses(step, one, one.before[step.generator.name])
        for name, loss in losses.items():
            np.testing.assert_allclose(one.metrics[f"{name}/generator_loss"], loss, rtol=1e-9)
        assert penalty > 1
        np.testing.assert_allclose(one.metrics["generator/orthogonal_penalty"], penalty, rtol=1e-9)
        total = sum(losses.values()) + 0.3 * penalty
        np.testing.assert_allclose(one.metrics["generator/loss"], total, rtol=1e-9)


def test_generator_moves_against_the_gradient_of_its_loss(recorded):
    step, found, _ = recorded
    one, name = found[2], step.generator.name
    rng = np.random.default_rng(2)
    direction = [rng.normal(size=w.shape) for w in one.before[name]]
    total = []
    for sign in (1, -1):
        weights = [w + sign * 1e-6 * d for w, d in zip(one.before[name], direction, strict=True)]
        losses, penalty = generator_losses(step, one, weights)
        total.append(sum(losses.values()) + 0.3 * penalty)
    moved = zip(one.before[name], one.after[name], direction, strict=True)
    slope = sum(((a - b) * d).sum() for a, b, d in moved) / RATES["generator_learning_rate"]
    np.testing.assert_allclose((total[0] - total[1]) / 2e-6, slope, rtol=1e-5)


def test_each_update_moves_its_own_networks_and_iterates_their_vectors_once(recorded):
    step, found, _ = recorded
    for index, one in enumerate(found):
        moving = {step.generator.name} if index >= 2 else {m.name for m in step.discriminators}
        for network in (step.generator, *step.discriminators):
            name = network.name
            pairs = list(zip(one.before[name], one.after[name], strict=True))
            vectors = zip(one.vectors_before[name], one.vectors[name], strict=True)
            kernels = {id(w): before for w, (before, _) in zip(network.trainable_variables, pairs)}  # noqa: B905
            if name not in moving:
                assert all(np.array_equal(a, b) for a, b in pairs)
                assert all(np.array_equal(a, b) for a, b in vectors)
                continue
            assert any(not np.array_equal(a, b) for a, b in pairs)
            for layer, (before, after) in zip(spectral_layers(network), vectors, strict=True):
                expected = paper.iterated(kernels[id(layer.kernel)], before)
                np.testing.assert_allclose(after, expected, atol=1e-12)


def test_every_update_draws_its_own_latents_frames_and_crops(recorded):
    _, found, _ = recorded
    assert [len(one.latents) for one in found] == [1, 1, 1, 1]
    latents = [one.latents[0] for one in found]
    assert latents[0].shape == (BATCH, LATENT)
    for index, one in enumerate(latents):
        assert not any(np.array_equal(one, other) for other in latents[:index])
    draws = [choices for one in found for choices in one.choices["cropped_video"]]
    assert len(draws) == 6  # real and predicted, twice; the generator, twice
    assert len({str(choices["corners"]) for choices in draws}) >= 5


def test_labels_are_the_dummy_class_unless_the_model_is_conditional(recorded):
    step, _, _ = recorded
    batch = make_batch(0)
    np.testing.assert_array_equal(step._labels(batch), batch["label"])
    plain = dataclasses.replace(step, class_conditional=False)
    np.testing.assert_array_equal(plain._labels(batch), np.zeros(BATCH))


def test_average_starts_after_its_start_step_with_the_weights(recorded):
    """Update number 8 is the start: the average is the weights; from number 9 on it decays."""
    step, found, (first, second) = recorded
    name = step.generator.name
    for average, weight in zip(first, found[2].after[name], strict=True):
        np.testing.assert_array_equal(average, weight)
    for old, average, weight in zip(first, second, found[3].after[name], strict=True):
        np.testing.assert_allclose(average, 0.75 * old + 0.25 * weight, rtol=1e-12)


def test_mean_of_the_discriminators_losses_where_it_is_asked_for(recorded):
    step, _, _ = recorded
    terms = [tf.constant(1.0), tf.constant(2.0), tf.constant(6.0)]
    assert float(step._total(terms)) == 9.0
    options = dataclasses.replace(step.options, mean_of_discriminators=True)
    assert float(dataclasses.replace(step, options=options)._total(terms)) == 3.0


def test_the_papers_hyperparameters_are_the_defaults_and_reach_the_optimizers():
    options = training.TrainingOptions()
    assert dataclasses.asdict(options) | {
        "batch_size": 512,
        "discriminator_steps": 2,
        "generator_learning_rate": 1e-4,
        "discriminator_learning_rate": 5e-4,
        "beta_1": 0.0,
        "beta_2": 0.999,
        "orthogonal_penalty": 1e-4,
        "ema_decay": 0.9999,
        "ema_start_step": 20_000,
        "mean_of_discriminators": False,
        "optimizer": "adam",
    } == dataclasses.asdict(options)
    experiment = make_experiment("cropped", optimizer="adam", beta_1=0.25, beta_2=0.875)
    step = build_step(experiment, tf.distribute.get_strategy(), 0)
    for optimizer, rate in (
        (step.generator_optimizer, RATES["generator_learning_rate"]),
        (step.discriminator_optimizer, RATES["discriminator_learning_rate"]),
    ):
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        assert (optimizer.beta_1, optimizer.beta_2) == (0.25, 0.875)
    assert (step.average.decay, step.average.start_step) == (0.75, 8)
