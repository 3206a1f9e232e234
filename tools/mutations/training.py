"""Losses, updates, optimizers, weight average and scores (docs/architecture.md, 5 to 7)."""

from tools.mutations.mutation import Mutation

_LOSSES, _STEP, _EMA = "ops/losses.py", "training/step.py", "training/ema.py"
_OPTIONS, _LOOP = "experiment/training_options.py", "training/loop.py"
_MOMENTS, _IS, _RESIZE = "metrics/moments.py", "metrics/inception_score.py", "metrics/resize.py"


def _one(name: str, rule: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(name, rule, file, ((old, new),), tests)


def _loss(name: str, rule: str, old: str, new: str, test: str) -> Mutation:
    return _one(name, rule, _LOSSES, old, new, f"ops/test_losses.py::{test}")


def _objective(name: str, rule: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return _one(name, rule, file, old, new, *(f"training/test_objective.py::{t}" for t in tests))


def _default(name: str, rule: str, old: str, new: str) -> Mutation:
    return _objective(name, rule, _OPTIONS, old, new, _HYPERPARAMETERS)


_HYPERPARAMETERS = "test_the_papers_hyperparameters_are_the_defaults_and_reach_the_optimizers"
_JUDGED, _FOOLED = "test_discriminators_losses", "test_generators_loss_and_penalty"
_DRAWS = "test_every_update_draws_its_own_latents_frames_and_crops"
_MOVED = "test_each_update_moves_its_own_networks_and_iterates_their_vectors_once"
_AVERAGE = "test_average_starts_after_its_start_step_with_the_weights"
_SLOPE = "test_discriminators_move_against_the_gradient_of_the_sum_of_their_losses"
_MIXED = "test_mixed_projection_equals_loops"
_PENALTY = "test_orthogonal_penalty_and_gradient"

TRAINING = [
    _loss(
        "hinge_sign",
        "hinge: real outputs are pushed above 1",
        "tf.nn.relu(1.0 - real)",
        "tf.nn.relu(1.0 + real)",
        "test_hinge",
    ),
    _loss(
        "hinge_mean",
        "hinge: the mean of all outputs",
        "+ tf.reduce_mean(tf.nn.relu(1.0 + predicted))",
        "+ tf.reduce_sum(tf.nn.relu(1.0 + predicted))",
        "test_hinge",
    ),
    _loss(
        "generator_hinge",
        "the generator's loss is linear",
        "return -tf.reduce_mean(predicted)",
        "return tf.reduce_mean(tf.nn.relu(1.0 - predicted))",
        "test_hinge",
    ),
    _loss(
        "mixed_sum",
        "Eq. 15 sums r_xy over time",
        "tf.reduce_sum(r_xy, axis=1)[None, :, None]",
        "tf.reduce_mean(r_xy, axis=1)[None, :, None]",
        _MIXED,
    ),
    _loss(
        "mixed_axes",
        "Eq. 15 pairs every r_x with every r_xy",
        "r_x[:, None, :] + tf.reduce_sum(r_xy, axis=1)[None, :, None]",
        "r_x[:, None, :] + tf.reduce_sum(r_xy, axis=1)[:, None, None] + 0.0 * r_x[None]",
        _MIXED,
    ),
    _loss(
        "penalty_diagonal",
        "the penalty leaves the diagonal out",
        "tf.linalg.set_diag(gram, tf.zeros([columns], gram.dtype))",
        "gram",
        _PENALTY,
    ),
    _loss(
        "penalty_of_wide",
        "the penalty of a wide matrix equals that of W^T W",
        " - tf.reduce_sum(tf.square(lengths))",
        "",
        _PENALTY,
    ),
    _objective(
        "scores_swapped",
        "real is real in the discriminators' loss",
        _STEP,
        "hinge_discriminator_loss(on_real, on_predicted)",
        "hinge_discriminator_loss(on_predicted, on_real)",
        _JUDGED,
    ),
    _objective(
        "no_power_iteration_of_discriminators",
        "one power iteration for each discriminator update",
        _STEP,
        "            power_iterate(model)\n",
        "",
        _MOVED,
    ),
    _objective(
        "no_power_iteration_of_generator",
        "one power iteration for each generator update",
        _STEP,
        "        power_iterate(self.generator)\n",
        "",
        _MOVED,
    ),
    _objective(
        "penalty_left_out",
        "the orthogonality penalty is part of the generator's loss",
        _STEP,
        "self.options.orthogonal_penalty * tf.cast(",
        "0.0 * tf.cast(",
        _FOOLED,
    ),
    _objective(
        "embedding_penalised",
        "the class embedding has no penalty",
        _STEP,
        "        if not isinstance(layer, SpectralEmbedding)\n",
        "",
        _FOOLED,
    ),
    _objective(
        "losses_averaged",
        "the discriminators' losses are summed",
        _STEP,
        "total / len(terms) if self.options.mean_of_discriminators else total",
        "total / len(terms)",
        _FOOLED,
        _SLOPE,
    ),
    _objective(
        "latents_shared",
        "each discriminator update has latents of its own",
        _STEP,
        " * count + tf.cast(update, tf.int64)",
        " * count + 0 * tf.cast(update, tf.int64)",
        _DRAWS,
    ),
    Mutation(
        "gradient_through_the_prediction",
        "the discriminators' update leaves the generator alone",
        _STEP,
        (
            ("        predicted = tf.stop_gradient(self.predict(batch, seeds[0]))\n", ""),
            (
                "metrics, terms, weights = {}, [], []\n",
                "metrics, terms, weights = {}, [], list(self.generator.trainable_variables)\n",
            ),
            (
                "                # Real and predicted in one forward",
                "                predicted = self.predict(batch, seeds[0])\n"
                "                # Real and predicted in one forward",
            ),
            (
                "self.discriminator_optimizer, tape.gradient(loss, sources), weights\n",
                "keras.optimizers.SGD(1e-3), tape.gradient(loss, sources), weights\n",
            ),
        ),
        (f"training/test_objective.py::{_MOVED}",),
    ),
    _objective(
        "frames_out_of_order",
        "conditioning frames come before the prediction",
        _STEP,
        "return tf.concat([conditioning, predicted], axis=1)",
        "return tf.concat([predicted, conditioning], axis=1)",
        _JUDGED,
    ),
    _objective(
        "one_view_for_both",
        "real and predicted videos are cropped and sampled independently",
        _STEP,
        "self._view(model, predicted, seeds[2 + 2 * index])",
        "self._view(model, predicted, seeds[1 + 2 * index])",
        _DRAWS,
    ),
    _objective(
        "labels_ignored",
        "a class-conditional run gives the networks its labels",
        _STEP,
        "return labels if self.class_conditional else tf.zeros_like(labels)",
        "return tf.zeros_like(labels)",
        "test_labels_are_the_dummy_class_unless_the_model_is_conditional",
    ),
    _objective(
        "ema_always",
        "the average starts at its start step",
        _EMA,
        "tf.where(step > self.start_step, self.decay, 0.0)",
        "tf.where(step > 0, self.decay, 0.0)",
        _AVERAGE,
    ),
    _objective(
        "ema_one_step_early",
        "at the start step the average is the weights",
        _EMA,
        "tf.where(step > self.start_step,",
        "tf.where(step >= self.start_step,",
        _AVERAGE,
    ),
    _objective(
        "ema_exchanged",
        "a <- d a + (1 - d) w",
        _EMA,
        "value + tf.cast(decay, value.dtype) * change",
        "value + tf.cast(1.0 - decay, value.dtype) * change",
        _AVERAGE,
    ),
    _objective(
        "rates_swapped",
        "each side has its own learning rate",
        _LOOP,
        "of_generator = _optimizer(options, options.generator_learning_rate)",
        "of_generator = _optimizer(options, options.discriminator_learning_rate)",
        _HYPERPARAMETERS,
    ),
    _objective(
        "betas_dropped",
        "Adam takes the options' betas",
        _LOOP,
        "beta_2=options.beta_2,",
        "beta_2=0.99,",
        _HYPERPARAMETERS,
    ),
    _default("beta_1", "beta1 = 0", "beta_1: float = 0.0", "beta_1: float = 0.5"),
    _default("beta_2", "beta2 = 0.999", "beta_2: float = 0.999\n", "beta_2: float = 0.99\n"),
    _default(
        "discriminator_steps",
        "two discriminator updates a step",
        "discriminator_steps: int = 2",
        "discriminator_steps: int = 1",
    ),
    _default("ema_decay", "decay 0.9999", "ema_decay: float = 0.9999", "ema_decay: float = 0.999"),
    _default(
        "ema_start",
        "the average starts at step 20,000",
        "ema_start_step: int = 20_000",
        "ema_start_step: int = 2_000",
    ),
    _default(
        "penalty_weight",
        "the penalty weighs 1e-4",
        "orthogonal_penalty: float = 1e-4",
        "orthogonal_penalty: float = 1e-3",
    ),
    _one(
        "adam_powers",
        "Adam corrects the bias of both moments",
        "training/adam.py",
        "tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)",
        "tf.pow(self.beta_1, step), tf.pow(self.beta_2, step - 1)",
        "training/test_adam.py::test_equations",
    ),
    _one(
        "biased_covariance",
        "FVD's covariance is unbiased",
        _MOMENTS,
        "return self._m2 / (self.count - 1)",
        "return self._m2 / self.count",
        "metrics/test_frechet.py::test_moments_equal_numpy_and_keep_their_digits_at_a_large_mean",
    ),
    _one(
        "merged_moments",
        "merged moments are those of all samples",
        _MOMENTS,
        "(self.count * other.count / total)",
        "(self.count * other.count / (total + 1))",
        "metrics/test_frechet.py::test_merging_equals_seeing_everything",
    ),
    _one(
        "frechet_means",
        "FVD counts the distance of the means",
        "metrics/frechet.py",
        "return float(spread + np.sum((a.mean - b.mean) ** 2))",
        "return float(spread)",
        "metrics/test_frechet.py::test_frechet_distance_equals_scipy",
    ),
    _one(
        "resize_rule",
        "frames are resized by TensorFlow 1's rule",
        _RESIZE,
        '"tf1_bilinear": _tf1_bilinear',
        '"tf1_bilinear": _tf2_bilinear',
        "metrics/test_resize.py::test_tf1_bilinear_samples_at_i_times_scale",
    ),
    _one(
        "logits_over_time",
        "I3D: logits of windows of two steps, then their mean",
        "metrics/i3d/network.py",
        "tf.reduce_mean(0.5 * (x[:, :-1] + x[:, 1:]), axis=1)",
        "tf.reduce_mean(x, axis=1)",
        "metrics/test_i3d_logits.py::test_logits_equal_those_of_the_unfolded_network_in_float64",
    ),
    _one(
        "inception_score_entropy",
        "IS: the divergence from p(y) to p(y | x)",
        _IS,
        "self._negative_entropy / sizes - (marginal * log_marginal).sum(axis=1)",
        "self._negative_entropy / sizes + (marginal * log_marginal).sum(axis=1)",
        "metrics/test_inception_score.py::test_two_samples_in_closed_form",
    ),
    _one(
        "pixel_range",
        "pixels are in [-1, 1]",
        "base/pixels.py",
        "return tf.cast(pixels, dtype) / _HALF_RANGE - 1.0",
        "return tf.cast(pixels, dtype) / _HALF_RANGE",
        f"training/test_objective.py::{_JUDGED}",
    ),
    _one(
        "reduced_weights_key",
        "stored weights are taken only of the same checkpoint",
        "runs/stored_weights.py",
        'names = ("step", "checkpoint", "batches", "batch_size", "seed")',
        'names = ("step", "batches", "batch_size", "seed")',
        "runs/test_weights.py::test_a_directory_that_was_trained_again_gives_its_own_weights",
    ),
    _one(
        "standing_batches_in_key",
        "stored weights are taken only of as many standing batches",
        "runs/stored_weights.py",
        'names = ("step", "checkpoint", "batches", "batch_size", "seed")',
        'names = ("step", "checkpoint", "seed")',
        "runs/test_weights.py::test_a_quick_look_is_not_what_is_exported",
    ),
]
