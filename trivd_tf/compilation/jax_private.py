"""Private parts of JAX that `trivd compile` uses, each with the reason.

`tests/compilation/test_jax_private.py` fails if an upgrade changes one of them, and states what to
check. Nothing here is imported before `tpu_compiler` has set the environment of libtpu.
"""

from typing import Any


def mlir_context() -> Any:
    """Return a context with the StableHLO and MHLO dialects registered.

    A plain `jaxlib.mlir.ir.Context()` has neither.
    """
    from jax._src.interpreters import mlir

    return mlir.make_ir_context()


def xla_client() -> Any:
    """Return the module with CompileOptions, DeviceAssignment and DeviceList.

    JAX itself only compiles what it traced; a program of another framework needs this client.
    """
    from jax._src.lib import xla_client as client

    return client
