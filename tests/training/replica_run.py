"""A few steps of a tiny model on some number of replicas; run as a script by test_replicas.py.

Devices are fixed when TensorFlow starts, so every count of devices needs a process of its own.
"""

import argparse
import faulthandler
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tensorflow as tf

from trivd_tf import data, evaluation, experiment, models, training
from trivd_tf.base.pixels import float_tensor
from trivd_tf.layers.batch_norm import batch_norm_layers, collecting_standing_statistics
from trivd_tf.training.checkpoints import Counters
from trivd_tf.training.compiled_loop import CompiledLoop
from trivd_tf.training.distribution.batches import make_iterator
from trivd_tf.training.distribution.strategy import make_strategy
from trivd_tf.training.distribution.workers import Workers
from trivd_tf.training.loop import build_step

SEED = 5
BATCH = 4
HANGS_AFTER = 900  # seconds; a collective that waits for nobody is told by its traceback


def tiny(
    precision: str, optimizer: str, frames: int, recompute: bool = False
) -> experiment.Experiment:
    """ch 1, 2 -> 1 or 2 frames of 16 x 16, global batch 4; all reductions of a real run."""
    rates = 0.05 if optimizer == "sgd" else 1e-3
    return experiment.Experiment(
        clip=data.ClipSpec(num_conditioning_frames=2, num_predicted_frames=frames, size=16),
        data=data.BouncingDigits(),
        generator=models.generator(channel_multiplier=1, recurrent_unit="conv_gru"),
        discriminators=models.discriminators(
            channel_multiplier=1, num_sampled_frames=2, decomposition="cropped"
        ),
        training=training.TrainingOptions(
            batch_size=BATCH,
            num_steps=10,
            discriminator_steps=1,
            generator_learning_rate=rates,
            discriminator_learning_rate=rates,
            optimizer=optimizer,
            precision=precision,
            ema_start_step=0,
            ema_decay=0.5,
            mix_over_replicas=True,
            recompute=recompute,
        ),
        evaluation=evaluation.EvaluationOptions(num_samples=4, batch_size=4),
    )


def leave_one_replica_out() -> None:
    """Breaks every sum over replicas on purpose: the second replica's part counts as zero."""
    real = tf.distribute.ReplicaContext.all_reduce

    def broken(self, op, value, options=None):
        kept = tf.cast(self.replica_id_in_sync_group != 1, tf.int32)
        value = tf.nest.map_structure(lambda part: part * tf.cast(kept, part.dtype), value)
        return real(self, op, value, options)

    tf.distribute.ReplicaContext.all_reduce = broken


def moments(step, strategy, iterator, count: int) -> list[np.ndarray]:
    """Standing statistics of every batch norm after `count` batches."""
    given = step.generator.num_conditioning_frames

    def forward(batch, seed: tf.Tensor) -> None:
        frames = float_tensor(batch["video"][:, :given], step._dtype)
        step.generator(frames, step.draw_latents(seed), training=True)

    @tf.function(autograph=False)
    def on_all(batch, seed: tf.Tensor) -> None:
        strategy.run(forward, args=(batch, seed))

    with collecting_standing_statistics(step.generator):
        for index in range(count):
            on_all(next(iterator), tf.constant([9, index], tf.int64))
    layers = batch_norm_layers(step.generator)
    return [v.numpy() for layer in layers for v in (layer.standing_mean, layer.standing_variance)]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strategy", default="mirrored")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--precision", default="float64")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--frames", type=int, default=1, help="predicted ones")
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--recompute", action="store_true")
    parser.add_argument("--output", required=True)
    args = parser.parse_args()
    faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
    if args.broken:
        leave_one_replica_out()
    strategy = make_strategy(args.strategy, logical_devices=args.replicas)
    # Optimising the graphs takes longer than running them so few times.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    config = tiny(args.precision, args.optimizer, args.frames, args.recompute)
    tf.config.experimental.enable_op_determinism()
    step, counters = build_step(config, strategy, SEED), Counters()
    iterator = make_iterator(config, strategy, SEED, 0)
    networks = [step.generator, *step.discriminators]
    before = [v.numpy() for model in networks for v in model.trainable_variables]
    statistics = moments(step, strategy, iterator, 2)
    loop = CompiledLoop(step, strategy, counters)
    metrics = loop(iterator, args.steps)
    assert loop.times_traced == 1
    names = [*step.discriminator_metrics, *step.generator_metrics]
    losses = np.stack([metrics[name] for name in names], axis=1)
    after = [v.numpy() for model in networks for v in model.trainable_variables]
    workers = Workers(strategy)
    if workers.is_chief:
        np.savez(
            args.output,
            losses=losses,
            changes=np.concatenate([(b - a).ravel() for a, b in zip(before, after, strict=True)]),
            weights=np.concatenate([b.ravel() for b in after]),
            averages=np.concatenate([a.numpy().ravel() for a in step.average.averages]),
            moments=np.concatenate([m.ravel() for m in statistics]),
            replicas=strategy.num_replicas_in_sync,
        )
    workers.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
