"""The private parts of JAX that `trivd compile` uses, each with the reason.

`tests/compilation/test_jax_private.py` fails where an upgrade changes one of them, and says what to
look at. Nothing here is imported before `tpu_compiler` has set the environment of libtpu.
"""

from typing import Any


def mlir_context() -> Any:
    """A context in which the StableHLO and MHLO dialects are registered.

    `jaxlib.mlir.ir.Context()` alone knows neither.
    """
    from jax._src.interpreters import mlir

    return mlir.make_ir_context()


def xla_client() -> Any:
    """The module with CompileOptions, DeviceAssignment and DeviceList.

    JAX compiles what it traced itself; a program of another framework needs the client below it.
    """
    from jax._src.lib import xla_client as client

    return client
