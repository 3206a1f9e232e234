"""The real train step goes through the TPU's own compiler, with its reductions over replicas."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf import data, models
from trivd_tf.compilation.compile import Job, compile_job
from trivd_tf.compilation.programs import TRAINING_PROGRAMS
from trivd_tf.compilation.records import Records
from trivd_tf.compilation.topologies import parse_topology
from trivd_tf.layers.recurrent import CELLS
from trivd_tf.models import DECOMPOSITIONS

REPLICAS = 8


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """None here: nothing is computed."""


def tiny_job(unit: str, decomposition: str) -> Job:
    """ch 1, 1 -> 2 frames of 16 x 16, one sample on each of eight cores."""
    frames = {"num_sampled_frames": 2} if decomposition != "mocogan_k1" else {}
    experiment = dataclasses.replace(
        tiny_experiment(batch_size=REPLICAS),
        clip=data.ClipSpec(num_conditioning_frames=1, num_predicted_frames=2, size=16),
        generator=models.generator(channel_multiplier=1, recurrent_unit=unit),
        discriminators=models.discriminators(
            channel_multiplier=1, decomposition=decomposition, **frames
        ),
    )
    return Job.of(experiment, parse_topology("v3:2x2"))


def trained_bytes(networks: list[keras.Model]) -> int:
    return 4 * sum(int(np.prod(v.shape)) for net in networks for v in net.trainable_variables)


def check_compiles(job: Job, folder) -> None:
    """Both programs compile, and each sums its networks' gradients over all replicas."""
    found = compile_job(job, Records(folder), TRAINING_PROGRAMS)
    with tf.Graph().as_default():  # for the sizes only
        generator = job.experiment.build_generator()
        generator.build_variables()
        discriminators = job.experiment.build_discriminators()
        for model in discriminators:
            model(tf.zeros([1, 3, 16, 16, 3]))
        sizes = (trained_bytes(discriminators), trained_bytes([generator]))
    reductions = []
    for record, size in zip(found.values(), sizes, strict=True):
        assert record.fits
        assert record.figures["flops"] > 0
        assert record.figures["peak_bytes"] > size
        (reduction,) = record.figures["collectives"]
        assert reduction["kind"] == "all-reduce"
        # The gradients; the moments of batch norm and the metrics are small beside them.
        assert size <= reduction["num_bytes"] < 1.5 * size
        reductions.append(reduction["count"])
    # The generator's batch norms are synchronised forward in both, and backward in its own update.
    assert reductions[1] > reductions[0] > 1
    # What is recorded is not compiled again: there is no emitter that could.
    assert compile_job(job, Records(folder), TRAINING_PROGRAMS) == found


def test_a_tiny_train_step_compiles_for_v3(tmp_path):
    check_compiles(tiny_job("conv_gru", "downsampled"), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("decomposition", DECOMPOSITIONS)
def test_every_decomposition_compiles_for_v3(decomposition, tmp_path):
    check_compiles(tiny_job("conv_gru", decomposition), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("unit", CELLS)
def test_every_unit_compiles_for_v3(unit, tmp_path):
    check_compiles(tiny_job(unit, "downsampled"), tmp_path)
