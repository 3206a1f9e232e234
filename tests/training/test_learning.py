"""A short run of the real train step learns, which a wrong loss does not."""

from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

GIVEN, LENGTH, SIDE, BATCH = 2, 5, 16, 2
DARK, BRIGHT = 30, 225
STEPS = 150
RATES = {"generator": 2e-3, "discriminator": 4e-3}


def still_clips(rng: np.random.Generator, count: int) -> np.ndarray:
    """One half of the frame is bright, the upper, lower, left or right one, and stays so."""
    frames = np.full((4, SIDE, SIDE), DARK, np.uint8)
    middle = SIDE // 2
    frames[0, :middle] = frames[1, middle:] = BRIGHT
    frames[2, :, :middle] = frames[3, :, middle:] = BRIGHT
    chosen = frames[rng.integers(0, 4, count)]
    shape = (count, LENGTH, SIDE, SIDE, 3)
    return np.broadcast_to(chosen[:, None, :, :, None], shape).copy()


def training_batches(seed: int) -> Iterator[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    while True:
        yield {"video": still_clips(rng, BATCH), "label": np.zeros(BATCH, np.int32)}


def agreement(generator, clips: np.ndarray) -> float:
    """Mean correlation of each clip's predicted brightness with what follows: 1 is right.

    Predictions that do not depend on the conditioning frames reach 0: of every clip there is one
    with the other half bright.
    """
    real = clips.mean(-1)[:, GIVEN:]
    z = tf.random.stateless_normal([len(clips), generator.latent_size], [1, 2])
    given = tf.constant(clips[:, :GIVEN] / 127.5 - 1, tf.float32)
    predicted = generator(given, z, training=True).numpy().mean(-1)
    pairs = zip(predicted.reshape(len(clips), -1), real.reshape(len(clips), -1), strict=True)
    return float(np.mean([np.corrcoef(one, other)[0, 1] for one, other in pairs]))


@pytest.fixture
def faster(tiny):
    """The shared set-up with larger learning rates."""
    optimizers = {
        "generator": tiny.step.generator_optimizer,
        "discriminator": tiny.step.discriminator_optimizer,
    }
    before = {name: float(one.learning_rate) for name, one in optimizers.items()}
    for name, rate in RATES.items():
        optimizers[name].learning_rate.assign(rate)
    yield tiny
    tiny.reset()
    for name, rate in before.items():
        optimizers[name].learning_rate.assign(rate)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_short_run_learns(faster, seed):
    """That what was bright stays bright, from the discriminators' word alone."""
    shown = still_clips(np.random.default_rng(99), 32)
    assert abs(agreement(faster.step.generator, shown)) < 0.3
    faster.counters.step.assign(10_000 * seed)  # other latents, frames and crops
    batches = tf.data.Dataset.from_generator(
        lambda: training_batches(seed),
        output_signature={
            "video": tf.TensorSpec([BATCH, LENGTH, SIDE, SIDE, 3], tf.uint8),
            "label": tf.TensorSpec([BATCH], tf.int32),
        },
    )
    faster.loop(iter(batches), STEPS)
    assert agreement(faster.step.generator, shown) > 0.6
