"""Batches that are copied to a device ahead of their use are the same batches."""

import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import tiny_experiment
from trivd_tf.training.distribution import batches
from trivd_tf.training.distribution.batches import copied_ahead, make_iterator


@tf.function
def _several(iterator, count):
    """Videos and labels of `count` batches, as the compiled loop takes them."""
    videos = tf.TensorArray(tf.uint8, count)
    labels = tf.TensorArray(tf.int32, count)
    for index in tf.range(count):
        batch = next(iterator)
        videos = videos.write(index, batch["video"])
        labels = labels.write(index, batch["label"])
    return videos.stack(), labels.stack()


def _assert_same(one, other):
    for values, others in zip(one, other, strict=True):
        np.testing.assert_array_equal(values, others)


def test_one_gpu_gets_its_batches_ahead(monkeypatch):
    """A CPU stands in for the GPU: the transformation is the same."""
    experiment, strategy = tiny_experiment(), tf.distribute.get_strategy()
    plain = _several(make_iterator(experiment, strategy, 7, 4), tf.constant(5))
    real, devices = tf.data.experimental.prefetch_to_device, []

    def noted(device, buffer_size):
        devices.append(device)
        return real(device, buffer_size)

    cpu = types.SimpleNamespace(name="/device:CPU:0")
    monkeypatch.setattr(batches, "kind_of", lambda strategy: "GPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [cpu])
    monkeypatch.setattr(tf.data.experimental, "prefetch_to_device", noted)
    iterator = make_iterator(experiment, strategy, 7, 4)
    assert devices == ["/device:CPU:0"]
    _assert_same(_several(iterator, tf.constant(5)), plain)
    assert len(np.unique(plain[0].numpy().sum((1, 2, 3, 4, 5)))) == 5


def test_a_cpu_gets_them_as_they_are():
    numbers = tf.data.Dataset.range(3)
    assert batches.only_gpu(tf.distribute.get_strategy()) is None
    assert copied_ahead(numbers, None) is numbers


def test_the_next_batch_is_made_before_it_is_asked_for():
    made = []

    def note(number):
        made.append(int(number))
        return number

    numbers = tf.data.Dataset.range(9).map(
        lambda number: tf.ensure_shape(tf.numpy_function(note, [number], tf.int64), [])
    )
    iterator = iter(copied_ahead(numbers, "/cpu:0"))
    assert int(next(iterator)) == 0
    deadline = time.monotonic() + 20
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(made) >= 2  # and none of them is lost or repeated
    assert [int(number) for number in iterator] == list(range(1, 9))


OTHER_DEVICE = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
tf.config.experimental.enable_op_determinism()

from tests.training.conftest import tiny_experiment
from tests.training.test_batches import _assert_same, _several
from trivd_tf.training.distribution import batches

experiment, strategy = tiny_experiment(), tf.distribute.get_strategy()
plain = _several(batches.make_iterator(experiment, strategy, 7, 0), tf.constant(5))
batches.only_gpu = lambda strategy: "/device:CPU:1"
iterator = batches.make_iterator(experiment, strategy, 7, 0)
assert "CPU:1" in next(iterator)["video"].device
_assert_same(_several(batches.make_iterator(experiment, strategy, 7, 0), tf.constant(5)), plain)
print("same")
"""


@pytest.mark.long
def test_batches_come_from_another_device():
    done = subprocess.run(
        [sys.executable, "-c", OTHER_DEVICE], capture_output=True, text=True, check=False
    )
    assert done.stdout == "same\n", done.stderr
