"""Normalization, blocks, generator, encoder and discriminators (docs/architecture.md, 2 to 5)."""

from tools.mutations.mutation import Mutation

_NORM, _BLOCKS, _SPECTRAL = "layers/batch_norm.py", "layers/residual.py", "layers/spectral_norm.py"
_GENERATOR, _ENCODER = "models/generator.py", "models/encoder.py"
_STAGE = "models/generator_stage.py"
_JUDGE, _ROWS, _VIDEO = "models/discriminators.py", "models/decompositions.py", "ops/video.py"
_GENERATOR_BLOCK = "layers/test_residual.py::test_generator_block"
_JUDGE_BLOCK = "layers/test_residual.py::test_discriminator_block"
_COMPOSED = "models/test_composition.py::test"
_PLAIN = (
    "models/test_generator.py::test_first_affine_and_class_embedding_are_not_spectrally_normalised"
)


def _one(name: str, rule: str, file: str, old: str, new: str, *tests: str) -> Mutation:
    return Mutation(name, rule, file, ((old, new),), tests)


def _norm(name: str, rule: str, old: str, new: str, test: str) -> Mutation:
    return _one(name, rule, _NORM, old, new, f"layers/test_batch_norm.py::{test}")


def _spectral(name: str, rule: str, old: str, new: str, *tests: str) -> Mutation:
    return _one(
        name, rule, _SPECTRAL, old, new, *(f"layers/test_spectral_norm.py::{t}" for t in tests)
    )


def _view(name: str, rule: str, old: str, new: str, test: str) -> Mutation:
    return _one(name, rule, _VIDEO, old, new, f"ops/test_video.py::{test}")


_DRAWN = "test_drawn_frames_are_different_never_conditioning_and_uniform"

NETWORKS = [
    _norm(
        "norm_over_time",
        "moments are over batch and space, never over time",
        "mean = tf.reduce_mean(rows, axis=1)",
        "mean = tf.repeat(tf.reduce_mean(rows, axis=[0, 1])[None], shape[0], axis=0)",
        "test_moments_are_over_batch_and_space_for_each_step",
    ),
    _norm(
        "conditional_gain",
        "the conditional gain is 1 + W_g cond",
        "gain = 1.0 + tf.cast(self.gain(condition), dtype)",
        "gain = tf.cast(self.gain(condition), dtype)",
        "test_conditional_gain_and_offset_equal_numpy",
    ),
    _norm(
        "standing_reset",
        "standing statistics start afresh",
        "self.standing_batches.assign(tf.zeros((), self.standing_batches.dtype))",
        "pass",
        "test_standing_statistics_are_the_mean_of_the_batches_moments_and_start_afresh",
    ),
    _norm(
        "standing_mean",
        "standing statistics are the mean over all batches",
        "share = 1.0 / (seen + 1.0)",
        "share = 0.0 * seen + 1.0",
        "test_standing_statistics_are_the_mean_of_the_batches_moments_and_start_afresh",
    ),
    _one(
        "standing_unused",
        "prediction uses the standing statistics",
        _NORM,
        "if training:\n            mean, variance = synchronized",
        "if True:\n            mean, variance = synchronized",
        "layers/test_batch_norm.py::"
        "test_standing_statistics_are_the_mean_of_the_batches_moments_and_start_afresh",
    ),
    _one(
        "block_relu",
        "BN - ReLU before the second convolution",
        _BLOCKS,
        "tf.nn.relu(self.norm_2(hidden, condition, training=training))",
        "self.norm_2(hidden, condition, training=training)",
        _GENERATOR_BLOCK,
    ),
    _one(
        "block_skip",
        "the skip is the identity where channels stay",
        _BLOCKS,
        "if self.upsample or frames_shape[-1] != self.channels:",
        "if frames_shape[-1]:",
        _GENERATOR_BLOCK,
    ),
    _one(
        "block_leading_relu",
        "the first block has no leading ReLU",
        _BLOCKS,
        "tf.nn.relu(frames) if self.leading_relu else frames",
        "tf.nn.relu(frames)",
        _JUDGE_BLOCK,
    ),
    _one(
        "block_average_pool",
        "blocks pool by the average",
        _BLOCKS,
        'return tf.nn.avg_pool2d(frames, 2, 2, "SAME")',
        'return tf.nn.max_pool2d(frames, 2, 2, "SAME")',
        _JUDGE_BLOCK,
    ),
    _one(
        "block_residual",
        "a block adds its skip",
        _BLOCKS,
        "return self._pooled(hidden) + skip",
        "return self._pooled(hidden)",
        _JUDGE_BLOCK,
    ),
    _one(
        "time_pooling",
        "3D blocks pool over time too",
        _BLOCKS,
        "average_pool_3d(frames, 2 if self.pool_time else 1)",
        "average_pool_3d(frames, 1)",
        _JUDGE_BLOCK,
    ),
    _one(
        "upsampling_gradient",
        "the upsampling's gradient is the sum of four pixels",
        _BLOCKS,
        "return 4.0 * tf.nn.avg_pool2d(upstream",
        "return tf.nn.avg_pool2d(upstream",
        "layers/test_residual.py::test_upsampling_and_its_gradient",
    ),
    _spectral(
        "sigma_gradient",
        "the gradient passes through sigma",
        "kernel / tf.maximum(self.singular_value(), self.epsilon)",
        "kernel / tf.stop_gradient(tf.maximum(self.singular_value(), self.epsilon))",
        "test_the_gradient_stops_at_u_and_v",
        "test_the_gradient_passes_through_sigma",
    ),
    _spectral(
        "sigma_bound",
        "W / max(sigma, eps), not W / (sigma + eps)",
        "tf.maximum(self.singular_value(), self.epsilon)",
        "(self.singular_value() + self.epsilon)",
        "test_epsilon_bounds_the_divisor",
    ),
    _spectral(
        "orthogonal_start",
        "weights start orthogonal",
        'kernel_initializer: Any = "orthogonal"',
        'kernel_initializer: Any = "glorot_uniform"',
        "test_weights_start_orthogonal_with_singular_value_one",
    ),
    _one(
        "affine_spectral_norm",
        "the first linear map has no spectral norm",
        _GENERATOR,
        'name="affine", **plain',
        'name="affine", **{**plain, "spectral_norm": True}',
        _PLAIN,
    ),
    _one(
        "encoder_spectral_norm",
        "the encoder's convolutions have spectral norm",
        _ENCODER,
        "spectral_norm=spectral_norm,\n                epsilon=spectral_epsilon,",
        "spectral_norm=False,\n                epsilon=spectral_epsilon,",
        _PLAIN,
    ),
    _one(
        "conditional_norm_spectral_norm",
        "the conditional maps of batch norm have spectral norm",
        _NORM,
        '"spectral_norm": self.spectral_norm,\n                "epsilon"',
        '"spectral_norm": False,\n                "epsilon"',
        _PLAIN,
    ),
    _one(
        "score_spectral_norm",
        "the discriminator's head has spectral norm",
        _JUDGE,
        'name="score", **norm)',
        'name="score", **{**norm, "spectral_norm": False})',
        "models/test_discriminators.py::test_every_kernel_has_spectral_norm",
    ),
    _one(
        "generator_tanh",
        "frames are a tanh",
        _GENERATOR,
        "frames = tf.tanh(tf.cast(frames,",
        "frames = tf.sin(tf.cast(frames,",
        f"{_COMPOSED}_generator",
    ),
    _one(
        "generator_condition",
        "the condition is [z; e]",
        _GENERATOR,
        "tf.concat([tf.cast(z, dtype), self.embedding(labels)], axis=-1)",
        "tf.concat([tf.cast(z, dtype), self.embedding(tf.zeros_like(labels))], axis=-1)",
        f"{_COMPOSED}_generator",
    ),
    _one(
        "head_relu",
        "BN - ReLU before the last convolution",
        _GENERATOR,
        "tf.nn.relu(self.head_norm(frames, training=training))",
        "self.head_norm(frames, training=training)",
        f"{_COMPOSED}_generator",
    ),
    _one(
        "post_recurrent_activation",
        "no activation after the post-recurrent convolution",
        _STAGE,
        "self.conv(video.fold_time(hidden)), self.num_steps",
        "tf.nn.relu(self.conv(video.fold_time(hidden))), self.num_steps",
        f"{_COMPOSED}_generator_stage",
    ),
    _one(
        "generator_widths",
        "stages are 8, 4, 2 ch wide",
        _GENERATOR,
        "_HIDDEN_WIDTHS = (8, 4, 2)",
        "_HIDDEN_WIDTHS = (8, 4, 4)",
        "models/test_generator.py::test_parameters_are_those_of_the_table[conv_gru-48-39.68]",
    ),
    _one(
        "encoder_relu",
        "encodings pass a ReLU",
        _ENCODER,
        "encodings.append(tf.nn.relu(to_state(folded)))",
        "encodings.append(to_state(folded))",
        f"{_COMPOSED}_encoder",
    ),
    _one(
        "encoder_first_relu",
        "the encoder's first block has no leading ReLU",
        _ENCODER,
        "leading_relu=index > 0",
        "leading_relu=True",
        f"{_COMPOSED}_encoder",
    ),
    _one(
        "encoder_frame_order",
        "conditioning frames fold into channels, frame by frame",
        _ENCODER,
        "tf.reshape(frames, [-1, count, height, width, channels]), [0, 2, 3, 1, 4]",
        "tf.reshape(frames, [-1, count, height, width, channels])[:, ::-1], [0, 2, 3, 1, 4]",
        f"{_COMPOSED}_encoder",
    ),
    _one(
        "features_averaged",
        "features are summed over space",
        _JUDGE,
        "tf.reduce_sum(tf.nn.relu(hidden), axis=[1, 2])",
        "tf.reduce_mean(tf.nn.relu(hidden), axis=[1, 2])",
        f"{_COMPOSED}_discriminator_features_are_the_sum_over_space_after_a_last_relu[frame]",
    ),
    _one(
        "features_relu",
        "a last ReLU comes before the sum",
        _JUDGE,
        "tf.reduce_sum(tf.nn.relu(hidden), axis=[1, 2])",
        "tf.reduce_sum(hidden, axis=[1, 2])",
        f"{_COMPOSED}_discriminator_features_are_the_sum_over_space_after_a_last_relu[frame]",
    ),
    _one(
        "judge_first_relu",
        "a discriminator's first block has no leading ReLU",
        _JUDGE,
        "leading_relu=index > 0",
        "leading_relu=True",
        f"{_COMPOSED}_discriminator_features_are_the_sum_over_space_after_a_last_relu[frame]",
    ),
    _one(
        "judge_pooling",
        "the first four blocks pool",
        _JUDGE,
        "pool=index < len(_WIDTHS) - 1",
        "pool=index < len(_WIDTHS)",
        f"{_COMPOSED}_discriminator_features_are_the_sum_over_space_after_a_last_relu[frame]",
    ),
    _one(
        "judge_widths",
        "discriminators are 2, 4, 8, 16, 16 ch wide",
        _JUDGE,
        "_WIDTHS = (2, 4, 8, 16, 16)",
        "_WIDTHS = (2, 4, 8, 8, 16)",
        "models/test_discriminators.py::test_parameters_are_those_of_the_table[48-21.55-22.71]",
    ),
    _one(
        "judge_3d_blocks",
        "two blocks are 3D",
        _JUDGE,
        "_BLOCKS_IN_3D = 2",
        "_BLOCKS_IN_3D = 1",
        f"{_COMPOSED}_discriminator_features_are_the_sum_over_space_after_a_last_relu[video]",
    ),
    _one(
        "factor_s",
        "s = 2",
        _ROWS,
        "factor: int = 2",
        "factor: int = 4",
        f"{_COMPOSED}_decompositions_of_table_1",
    ),
    _one(
        "row_faster",
        "DVD-GAN-FP faster crops its videos",
        _ROWS,
        '"dvd_gan_fp_faster": (_SMALL_FRAMES, _CROPPED)',
        '"dvd_gan_fp_faster": (_SMALL_FRAMES, _DOWNSAMPLED)',
        f"{_COMPOSED}_decompositions_of_table_1",
    ),
    _view(
        "frames_with_replacement",
        "K frames are drawn without replacement",
        "tf.sort(tf.math.top_k(keys, num_drawn).indices, axis=1) + skip",
        "tf.random.stateless_uniform([count, num_drawn], seed, skip, num_frames, tf.int32)",
        _DRAWN,
    ),
    _view(
        "conditioning_frame_judged",
        "a conditioning frame is never judged by the frame discriminator",
        ".indices, axis=1) + skip",
        ".indices, axis=1)",
        _DRAWN,
    ),
    _view(
        "one_crop",
        "each video has a crop of its own",
        "rows = corners[:, :1] + tf.range(height)",
        "rows = tf.repeat(corners[:1, :1], tf.shape(corners)[0], axis=0) + tf.range(height)",
        "test_crop_takes_one_window_for_all_frames",
    ),
    _view(
        "corner_range",
        "the last possible corner can be drawn",
        "seed, 0, free[0] + 1, dtype",
        "seed, 0, free[0], dtype",
        "test_corners_are_uniform_over_all_places",
    ),
    _view(
        "downsampling_average",
        "the downsampled view is an average",
        'tf.nn.avg_pool2d(x, factor, factor, "VALID")',
        'tf.nn.max_pool2d(x, factor, factor, "VALID")',
        "test_downsample_is_the_mean_of_blocks",
    ),
]
