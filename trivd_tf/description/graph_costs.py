"""Cost of a TensorFlow graph: multiply-adds that the mathematics needs, and bytes moved."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from trivd_tf.base.tensorflow_private import called_graph

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_CONVOLUTIONS = ("Conv2D", "Conv3D")
_INPUT_GRADIENTS = ("Conv2DBackpropInput", "Conv3DBackpropInputV2")
_KERNEL_GRADIENTS = ("Conv2DBackpropFilter", "Conv3DBackpropFilterV2")
_PRODUCTS = ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
# These pass on their input, or only read its shape.
_FREE = {
    *("Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "Const", "Shape", "NoOp"),
    *("Placeholder", "StopGradient", "PreventGradient", "ReadVariableOp", "ShapeN", "Rank"),
}
_NOT_RUN = {"Const", "Identity", "IdentityN", "Placeholder", "NoOp"}
# The warp's matrix products are mostly zeros; only k*k multiply-adds per value are needed.
_WARP = "pixelwise_warp"


def traced(function: Callable[..., Any], *specs: Any) -> tf.Graph:
    """Return the graph of `function` for inputs of these `tf.TensorSpec`s, without running it."""
    return tf.function(function, autograph=False).get_concrete_function(*specs).graph


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Iterate over every operation of a graph, including called functions, once per call."""
    yield from expanded(graph.get_operations())


def expanded(listed: Iterable[tf.Operation]) -> Iterator[tf.Operation]:
    """Iterate over operations, replacing each function call by the function's operations."""
    for operation in listed:
        if operation.type in _CALLS:
            yield from operations(called_graph(operation))
        else:
            yield operation


def count_operations(graph: tf.Graph) -> int:
    """Count the operations launched on a device; a function that XLA compiles counts as one.

    Constants, identities and arguments are left out.
    """
    return sum(operation.type not in _NOT_RUN for operation in _launched(graph.get_operations()))


def _launched(listed: Iterable[tf.Operation]) -> Iterator[tf.Operation]:
    for operation in listed:
        if operation.type in _CALLS and not _is_compiled(operation):
            yield from _launched(called_graph(operation).get_operations())
        else:
            yield operation


def _is_compiled(call: tf.Operation) -> bool:
    return "_XlaMustCompile" in call.node_def.attr and call.get_attr("_XlaMustCompile")


def _size(tensor: tf.Tensor) -> int:
    if tensor.shape.rank is None:
        return 0
    return math.prod(size or 1 for size in tensor.shape.as_list())


def _product_flops(operation: tf.Operation) -> int:
    inner = operation.inputs[0].shape
    if _WARP in operation.name:
        # [.., W, k W] times [.., k W, C] counts as k*k multiply-adds for each of [.., W, C].
        taps = inner[-1] // inner[-2]
        return 2 * taps**2 * _size(operation.outputs[0])
    transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
    axis = -2 if operation.get_attr(transposed) else -1
    return 2 * _size(operation.outputs[0]) * (inner[axis] or 1)


def operation_flops(operation: tf.Operation) -> int:
    """Return two per multiply-add of a convolution, its gradients or a matrix product; else 0."""
    if operation.type in _CONVOLUTIONS:
        return 2 * _size(operation.outputs[0]) * math.prod(operation.inputs[1].shape[:-1])
    if operation.type in _INPUT_GRADIENTS:
        return 2 * _size(operation.inputs[2]) * math.prod(operation.inputs[1].shape[:-1])
    if operation.type in _KERNEL_GRADIENTS:
        return 2 * _size(operation.inputs[2]) * math.prod(operation.outputs[0].shape[:-1])
    if operation.type in _PRODUCTS:
        return _product_flops(operation)
    return 0


def flops(graph: tf.Graph) -> int:
    """Count the floating-point operations of all convolutions and matrix products of a graph."""
    return flops_of(graph.get_operations())


def flops_of(listed: Iterable[tf.Operation]) -> int:
    """Count as `flops` does, for a list of operations."""
    return sum(operation_flops(operation) for operation in expanded(listed))


def moved_bytes(graph: tf.Graph) -> int:
    """Count the bytes that all operations read and write, as if run one by one (no compiler)."""
    total = 0
    for operation in operations(graph):
        if operation.type not in _FREE:
            tensors = [*operation.inputs, *operation.outputs]
            total += sum(_size(t) * t.dtype.size for t in tensors if t.dtype != tf.resource)
    return total
