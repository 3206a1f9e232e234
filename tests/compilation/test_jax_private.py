"""JAX's private parts are as `trivd_tf/compilation/jax_private.py` expects them.

Where a test fails after an upgrade of JAX: look for what took the place of the name in the message,
and change `jax_private.py` alone. In a process of its own, as `tpu_compiler` is.
"""

import subprocess
import sys

PROGRAM = """
import numpy as np
from trivd_tf.compilation import jax_private
from jaxlib.mlir import ir

text = '''module @m { func.func public @main(%a: tensor<2xf32>) -> tensor<2xf32> {
  %b = stablehlo.add %a, %a : tensor<2xf32>
  %c = "mhlo.copy"(%b) : (tensor<2xf32>) -> tensor<2xf32>
  return %c : tensor<2xf32> } }'''
with jax_private.mlir_context():
    assert "stablehlo.add" in str(ir.Module.parse(text)), "jax._src.interpreters.mlir"
client = jax_private.xla_client()
options = client.CompileOptions()
options.num_replicas, options.num_partitions = 2, 1
options.device_assignment = client.DeviceAssignment.create(np.array([[0], [1]], np.int32))
options.executable_build_options.num_replicas = 2
assert client.DeviceList, "jax._src.lib.xla_client"
"""


def test_what_tpu_compiler_takes_is_there():
    environment = {"JAX_PLATFORMS": "cpu", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
