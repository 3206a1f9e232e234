"""Flags of XLA: known to the installed TensorFlow, and added to those that are there."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from trivd_tf.cli.xla_flags import AUTOTUNE_CACHE, keep_autotuning

# What docs/scaling.md offers.
DOCUMENTED = "--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false"


def test_each_version_of_tensorflow_has_its_own_folder(tmp_path):
    environment = {"XLA_FLAGS": "--xla_gpu_autotune_level=1"}
    keep_autotuning(tmp_path / "tuned", environment)
    folder = tmp_path / "tuned" / f"tensorflow-{tf.__version__}"
    assert folder.is_dir()
    assert environment["XLA_FLAGS"] == f"--xla_gpu_autotune_level=1 {AUTOTUNE_CACHE}={folder}"


def test_a_folder_that_is_named_already_stays(tmp_path):
    environment = {"XLA_FLAGS": f"{AUTOTUNE_CACHE}=/elsewhere"}
    keep_autotuning(tmp_path / "tuned", environment)
    assert environment == {"XLA_FLAGS": f"{AUTOTUNE_CACHE}=/elsewhere"}
    assert not (tmp_path / "tuned").exists()


@pytest.mark.long
@pytest.mark.parametrize("is_known", [True, False])
def test_xla_knows_the_flags(is_known, tmp_path):
    """XLA reads all of them on any device; one that it does not know ends the process."""
    environment = {**os.environ, "XLA_FLAGS": DOCUMENTED if is_known else "--xla_gpu_of_nobody=1"}
    keep_autotuning(tmp_path / "with spaces", environment)
    code = "import tensorflow as tf; tf.function(lambda x: x + 1, jit_compile=True)(tf.ones(2))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (done.returncode == 0) == is_known, done.stderr
