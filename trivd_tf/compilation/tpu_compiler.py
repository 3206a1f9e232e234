"""Compile one StableHLO program for a TPU through libtpu, on a machine without a TPU.

Runs in a separate process, `python -m trivd_tf.compilation.tpu_compiler FILE TOPOLOGY REPLICAS
RESULT`, because libtpu aborts the process on a program that it cannot compile, and releases memory
only at exit. The result is a JSON file. Nothing here imports TensorFlow.
"""

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from trivd_tf.compilation import jax_private
from trivd_tf.compilation.collectives import find_collectives
from trivd_tf.compilation.topologies import GENERATIONS, parse_topology

# Otherwise libtpu would search for a TPU and its host.
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_LIBRARY_LOCK": "0",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
_UNITS = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# Older releases print the first form, newer ones the second; "temporaries" include arguments and
# results.
_OUT_OF_MEMORY = (
    re.compile(r"Used ([\d.]+)([KMGT]?) of ([\d.]+)([KMGT]?) hbm"),
    re.compile(
        r"required for .*?\(([\d.]+)([KMGT]?)\) exceeds available HBM \(([\d.]+)([KMGT]?)\)"
    ),
)


def _module(text: bytes) -> Any:
    """Convert the program to an MLIR module that libtpu accepts."""
    from jaxlib.mlir import ir

    with jax_private.mlir_context():
        module = ir.Module.parse(text)
        copies: list[Any] = []
        _collect_copies(module.operation, copies)
        # TensorFlow copies the variables that it returns; StableHLO lacks that operation.
        for copy in copies:
            copy.results[0].replace_all_uses_with(copy.operands[0])
            copy.erase()
        return module


def _collect_copies(operation: Any, found: list[Any]) -> None:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                if inner.operation.name == "mhlo.copy":
                    found.append(inner.operation)
                _collect_copies(inner.operation, found)


def _compile(text: bytes, topology: str, num_replicas: int) -> Any:
    import numpy as np
    from jax.experimental import topologies

    xla_client = jax_private.xla_client()
    chip = GENERATIONS[parse_topology(topology).generation].chip
    described: Any = topologies.get_topology_desc(
        platform="tpu", topology_name=topology, chip_config_name=chip
    )
    devices = described.devices[:num_replicas]
    assignment = xla_client.DeviceAssignment.create(
        np.array([[device.id] for device in devices], np.int32)
    )
    options = xla_client.CompileOptions()
    options.num_replicas, options.num_partitions = num_replicas, 1
    options.device_assignment = assignment
    build = options.executable_build_options
    build.num_replicas, build.num_partitions, build.device_assignment = num_replicas, 1, assignment
    return devices[0].client.compile(_module(text), xla_client.DeviceList(tuple(devices)), options)


def out_of_memory(message: str) -> dict[str, int] | None:
    """Return the bytes that a program needs and that the TPU has, from the compiler's error."""
    for pattern in _OUT_OF_MEMORY:
        match = pattern.search(message)
        if match:
            wanted, wanted_unit, limit, limit_unit = match.groups()
            return {
                "wanted_bytes": int(float(wanted) * _UNITS[wanted_unit]),
                "hbm_bytes": int(float(limit) * _UNITS[limit_unit]),
            }
    return None


def figures(executable: Any) -> dict[str, Any]:
    """Return the compiler's analysis of one replica's program."""
    memory = executable.get_compiled_memory_stats()
    analysis = executable.cost_analysis()
    analysis = analysis[0] if isinstance(analysis, list) else analysis
    text = executable.hlo_modules()[0].to_string()
    return {
        "argument_bytes": memory.argument_size_in_bytes,
        "output_bytes": memory.output_size_in_bytes,
        "alias_bytes": memory.alias_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "peak_bytes": memory.peak_memory_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        # `optimal_seconds`, listed beside these, is a marker and no time.
        "flops": analysis["flops"],
        "accessed_bytes": analysis["bytes accessed"],
        "collectives": [vars(found) for found in find_collectives(text.splitlines())],
    }


def main(arguments: list[str]) -> int:
    """Compile, and write the result or the out-of-memory error."""
    path, topology, num_replicas, result = arguments
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "")
    import jax
    from jax.errors import JaxRuntimeError

    started = time.perf_counter()
    found: dict[str, Any] = {"jax": jax.__version__}
    try:
        executable = _compile(Path(path).read_bytes(), topology, int(num_replicas))
    except JaxRuntimeError as error:
        wanted = out_of_memory(str(error))
        if wanted is None:
            raise
        message = str(error).split("\n", 1)[0]
        found |= {"out_of_memory": {**wanted, "message": message}}
    else:
        found |= figures(executable)
    found["seconds"] = round(time.perf_counter() - started, 1)
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
