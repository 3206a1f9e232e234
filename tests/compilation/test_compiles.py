"""`trivd compile`: the real train step through the TPU's own compiler, reductions and all.

Each in a process of its own, as a user runs it: tracing for a TPU keeps its memory.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trivd_tf import config, models
from trivd_tf.compilation.emission import emit
from trivd_tf.experiment import Experiment
from trivd_tf.layers.recurrent import CELLS
from trivd_tf.models import DECOMPOSITIONS

FRAMES, SIZE = 3, 16
LONG = pytest.mark.long
OTHERS = [unit for unit in CELLS if unit not in ("tsru_p", "k_traj_gru")]


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


def compile_tiny(
    folder,
    unit: str = "conv_gru",
    decomposition: str = "downsampled",
    topology: str = "v3:2x2",
    replica_batch: int = 1,
    status: int = 0,
    bindings: Sequence[str] = (),
    programs: str = "train",
) -> subprocess.CompletedProcess[str]:
    """`trivd compile` for all cores of a topology."""
    command = [sys.executable, "-m", "trivd_tf", "compile", "--gin_file", "bouncing_digits"]
    for binding in (*tiny_bindings(unit, decomposition), *bindings):
        command += ["--gin_bindings", binding]
    command += ["--topology", topology, "--replica_batch", str(replica_batch)]
    done = subprocess.run(
        [*command, "--programs", programs, "--output", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr[-2000:]
    return done


def stored(folder) -> list[dict[str, Any]]:
    """The records that are left."""
    return list(json.loads((folder / "compiled.json").read_text()).values())


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
    records = [one for one in stored(folder) if one["runs_a_step"]]
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


def test_a_tiny_prediction_compiles_for_v3(tmp_path):
    compile_tiny(tmp_path, "tsru_p", programs="predict")
    prediction = next(one for one in stored(tmp_path) if one["program"] == "prediction")
    assert prediction["figures"]["flops"] > 0
    assert prediction["figures"]["peak_bytes"] > prediction["figures"]["argument_bytes"] > 0
    # Every replica predicts for itself.
    assert prediction["figures"]["collectives"] == []
    assert prediction["runs_a_step"] == prediction["resident_bytes"] == 0


@pytest.mark.long
def test_a_tiny_train_step_compiles_for_v3_and_is_recorded(tmp_path):
    check_compiles(tmp_path, "tsru_p", "downsampled")
    again = compile_tiny(tmp_path, "tsru_p", "downsampled")
    assert "compiling" not in again.stderr
    assert "v3:2x2, 8 replicas of 1 samples" in again.stdout


def tiny_experiment(unit: str, *bindings: str) -> Experiment:
    bindings = (*tiny_bindings(unit, "downsampled"), *bindings)
    return config.parse(["bouncing_digits"], bindings, stand_in_data=True).build()


@pytest.mark.parametrize(
    "unit", ["tsru_p", "k_traj_gru", *(pytest.param(u, marks=LONG) for u in OTHERS)]
)
def test_a_deterministic_update_lowers_for_a_tpu(unit, tmp_path):
    """XLA refuses the gradient of a pooling there, were one used."""
    deterministic = "training.TrainingOptions.deterministic = True"
    emitted = emit(tiny_experiment(unit, deterministic), 8, ["generator"], tmp_path)
    assert emitted["generator"].path.stat().st_size > 10_000


@pytest.mark.long
@pytest.mark.parametrize("decomposition", DECOMPOSITIONS)
def test_every_decomposition_compiles_for_v3(decomposition, tmp_path):
    check_compiles(tmp_path, "conv_gru", decomposition)


@pytest.mark.long
@pytest.mark.parametrize("unit", CELLS)
def test_every_unit_compiles_for_v3(unit, tmp_path):
    check_compiles(tmp_path, unit, "downsampled")


@pytest.mark.long
@pytest.mark.parametrize(
    ("topology", "replicas"), [("v2", 8), ("v4", 4), ("v5e", 4), ("v5p", 4), ("v6e", 8)]
)
def test_every_generation_is_compiled_for(topology, replicas, tmp_path):
    done = compile_tiny(tmp_path, topology=topology)
    assert f", {replicas} replicas of 1 samples" in done.stdout
    records = stored(tmp_path)
    assert {record["num_replicas"] for record in records} == {replicas}
    for record in records:
        (reduction,) = record["figures"]["collectives"]
        assert reduction["kind"] == "all-reduce"


@pytest.mark.long
def test_recomputation_survives_the_compiler(tmp_path):
    """Were it taken for work done before, there would be no more operations than without."""
    compile_tiny(tmp_path, "tsru_p", "dvd_gan_fp_stronger")
    recompute = "training.TrainingOptions.recompute = True"
    compile_tiny(tmp_path, "tsru_p", "dvd_gan_fp_stronger", bindings=[recompute])
    flops: dict[str, list[float]] = {}
    for record in stored(tmp_path):
        side = flops.setdefault(record["program"], [0, 0])
        side["recompute" in record["configuration"]] = record["figures"]["flops"]
    for without, recomputed in flops.values():
        assert recomputed > 1.03 * without


@pytest.mark.long
def test_what_does_not_fit_is_told(tmp_path):
    """A batch of which the frames alone take more than a v2 has."""
    frames_bytes = FRAMES * SIZE**2 * 3 * 4
    batch = 2 * int(7.48 * 2**30) // frames_bytes
    done = compile_tiny(tmp_path, topology="v2", replica_batch=batch, status=1)
    assert "discriminators: OUT OF MEMORY: " in done.stdout
    assert "exceeds available HBM (7.48G)" in done.stdout
    for record in stored(tmp_path):
        found = record["figures"]["out_of_memory"]
        assert found["wanted_bytes"] > batch * frames_bytes
        assert found["hbm_bytes"] == int(7.48 * 2**30)
