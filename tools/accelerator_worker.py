"""Tasks of `check_accelerator.py` that need TensorFlow, each in a separate process.

Prints one line of JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
import tensorflow as tf


def device() -> dict[str, Any]:
    """Describe the available device."""
    kind, name = "CPU", f"CPU with {os.cpu_count()} threads"
    for wanted in ("TPU", "GPU"):
        found = tf.config.list_physical_devices(wanted)
        if found:
            details = tf.config.experimental.get_device_details(found[0])
            kind, name = wanted, f"{len(found)} x {details.get('device_name', wanted)}"
            break
    return {"kind": kind, "device": name, "tensorflow": tf.__version__}


def step(result: str, precision: str, tf32: str, *bindings: str) -> dict[str, Any]:
    """Run one SGD step on fixed clips; return losses and weight changes (the gradients)."""
    from accelerator_machine import TINY

    from trivd_tf import config
    from trivd_tf.training.loop import build_step

    tf.config.experimental.enable_tensor_float_32_execution(tf32 == "on")
    options = f"training.TrainingOptions.precision = '{precision}'"
    sgd = "training.TrainingOptions.optimizer = 'sgd'"
    experiment = config.parse(["bouncing_digits"], [*TINY, options, sgd, *bindings]).build()
    made = build_step(experiment, tf.distribute.get_strategy(), 0)
    clip = experiment.clip
    shape = (experiment.training.batch_size, clip.num_frames, clip.height, clip.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    batch = {"video": tf.constant(pixels), "label": tf.zeros(shape[:1], tf.int32)}
    models = [made.generator, *made.discriminators]
    for optimizer in (made.generator_optimizer, made.discriminator_optimizer):
        optimizer.learning_rate.assign(1e-3)
    before = [[one.numpy() for one in model.trainable_variables] for model in models]

    @tf.function(autograph=False)
    def run(batch):
        number = tf.constant(0, tf.int64)
        # The generator first: updating the discriminators would change its loss.
        found = made.update_generator(batch, number)
        return {**found, **made.update_discriminators(batch, number, tf.constant(0))}

    losses = {f"losses/{name}": value.numpy() for name, value in run(batch).items()}
    changes = {}
    for model, weights in zip(models, before, strict=True):
        pairs = zip(model.trainable_variables, weights, strict=True)
        moved = [(one.numpy() - old).ravel() / 1e-3 for one, old in pairs]
        changes[f"gradients/{model.name}"] = np.concatenate(moved)
    np.savez(result, **losses, **changes)
    return {"written": result}


def compare(reference: str, other: str) -> dict[str, float]:
    """Return the largest relative difference of losses (or frames) and of gradients."""
    found = {"losses": 0.0, "gradients": 0.0}
    with np.load(reference) as one, np.load(other) as two:
        scale = max(np.abs(one[name]).max() for name in one if name.startswith("losses"))
        for name in one:
            group = name.split("/")[0]
            size = scale if group == "losses" else np.abs(one[name]).max()
            difference = np.abs(one[name] - two[name]).max() / max(size, 1e-30)
            found[group] = float(np.maximum(found[group], difference))  # keeps NaN
    return found


def same_checkpoints(one: str, other: str) -> dict[str, Any]:
    """Return the variables that differ in any bit between two runs' last checkpoints."""
    readers = []
    for run in (one, other):
        newest = tf.train.latest_checkpoint(f"{run}/checkpoints")
        readers.append(tf.train.load_checkpoint(newest))
    names = [set(reader.get_variable_to_shape_map()) for reader in readers]
    different = sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        values = [reader.get_tensor(name) for reader in readers]
        # The checkpoint's metadata contains its own folder and time.
        if not name.startswith("_CHECKPOINTABLE") and not np.array_equal(*values):
            different.append(name)
    return {"variables": len(names[0]), "different": different}


def predict(exported: str, result: str) -> dict[str, Any]:
    """Predict the frames of an export for fixed clips and latents."""
    from trivd_tf.inference.predictor import SavedModelPredictor

    predictor = SavedModelPredictor(exported)
    rng = np.random.default_rng(0)
    shape = (2, predictor.num_conditioning_frames, *predictor.frame_shape, 3)
    z = rng.standard_normal((2, predictor.latent_size)).astype(np.float32)
    frames, _ = predictor.predict_from_z(rng.integers(0, 256, shape, np.uint8), z)
    np.savez(result, **{"losses/frames": frames / 255.0})
    return {"written": result}


def clip(path: str) -> dict[str, Any]:
    """Write a moving square as an animated GIF of 8 frames."""
    from PIL import Image

    frames = np.zeros((8, 32, 32, 3), np.uint8)
    for index in range(len(frames)):
        frames[index, 8:20, 2 * index : 2 * index + 12] = (220, 60, 60)
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(path, save_all=True, append_images=others, duration=80, loop=0)
    return {"written": path}


TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (device, step, compare, same_checkpoints, predict, clip)
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*sys.argv[2:])))
