"""`trivd compile`: the real train step through the TPU's own compiler, reductions and all.

Each in a process of its own, as a user runs it: tracing for a TPU keeps its memory.
"""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf import models
from trivd_tf.layers.recurrent import CELLS
from trivd_tf.models import DECOMPOSITIONS

FRAMES, SIZE = 3, 16


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """None here: nothing is computed."""


def tiny_bindings(unit: str, decomposition: str) -> list[str]:
    """ch 1, 1 -> 2 frames of 16 x 16."""
    frames = 1 if decomposition == "mocogan_k1" else 2
    return [
        "models.generator.channel_multiplier = 1",
        f"models.generator.recurrent_unit = '{unit}'",
        "models.discriminators.channel_multiplier = 1",
        f"models.discriminators.decomposition = '{decomposition}'",
        f"models.discriminators.num_sampled_frames = {frames}",
        "data.ClipSpec.num_conditioning_frames = 1",
        f"data.ClipSpec.num_predicted_frames = {FRAMES - 1}",
        f"data.ClipSpec.size = {SIZE}",
    ]


def compile_tiny(folder, unit: str, decomposition: str) -> subprocess.CompletedProcess[str]:
    """`trivd compile` for the eight cores of a v3:2x2, one sample on each."""
    command = [sys.executable, "-m", "trivd_tf", "compile", "--gin_file", "bouncing_digits"]
    for binding in tiny_bindings(unit, decomposition):
        command += ["--gin_bindings", binding]
    command += ["--topology", "v3:2x2", "--replica_batch", "1", "--programs", "train"]
    done = subprocess.run(
        [*command, "--output", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def trained_bytes(networks: list[keras.Model]) -> int:
    return 4 * sum(int(np.prod(v.shape)) for net in networks for v in net.trainable_variables)


def gradient_bytes(unit: str, decomposition: str) -> dict[str, int]:
    """float32 gradients of the networks that each program updates."""
    generator = models.generator(channel_multiplier=1, recurrent_unit=unit)(
        num_predicted_frames=FRAMES - 1, num_conditioning_frames=1, frame_size=SIZE
    )
    generator.build_variables()
    discriminators = models.discriminators(
        channel_multiplier=1,
        decomposition=decomposition,
        num_sampled_frames=1 if decomposition == "mocogan_k1" else 2,
    )(num_conditioning_frames=1)
    for model in discriminators:
        model(tf.zeros([1, FRAMES, SIZE, SIZE, 3]))
    return {
        "discriminators": trained_bytes(discriminators),
        "generator": trained_bytes([generator]),
    }


def check_compiles(folder, unit: str, decomposition: str) -> None:
    """Both programs compile, and each sums its networks' gradients over all replicas."""
    compile_tiny(folder, unit, decomposition)
    records = json.loads((folder / "compiled.json").read_text()).values()
    sizes, counts = gradient_bytes(unit, decomposition), {}
    assert {record["program"] for record in records} == set(sizes)
    for record in records:
        figures, size = record["figures"], sizes[record["program"]]
        assert figures["flops"] > 0
        assert figures["peak_bytes"] > size
        (reduction,) = figures["collectives"]
        assert reduction["kind"] == "all-reduce"
        # The gradients; the moments of batch norm and the metrics are small beside them.
        assert size <= reduction["num_bytes"] < 1.5 * size
        counts[record["program"]] = reduction["count"]
    # The generator's batch norms are synchronised forward in both, and backward in its own update.
    assert counts["generator"] > counts["discriminators"] > 1


def test_a_tiny_train_step_compiles_for_v3(tmp_path):
    check_compiles(tmp_path, "conv_gru", "downsampled")
    # What is recorded is told again, and not compiled again.
    again = compile_tiny(tmp_path, "conv_gru", "downsampled")
    assert "compiling" not in again.stderr
    assert "v3:2x2, 8 replicas of 1 samples" in again.stdout


@pytest.mark.long
@pytest.mark.parametrize("decomposition", DECOMPOSITIONS)
def test_every_decomposition_compiles_for_v3(decomposition, tmp_path):
    check_compiles(tmp_path, "conv_gru", decomposition)


@pytest.mark.long
@pytest.mark.parametrize("unit", CELLS)
def test_every_unit_compiles_for_v3(unit, tmp_path):
    check_compiles(tmp_path, unit, "downsampled")
