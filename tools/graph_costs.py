"""What a TensorFlow graph costs: multiply-adds that the mathematics needs, and bytes it moves."""

import math
from collections.abc import Iterator

import tensorflow as tf

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# These hand their input on, or only look at its shape.
_FREE = {
    *("Identity", "IdentityN", "Reshape", "ExpandDims", "Squeeze", "Const", "Shape", "NoOp"),
    *("Placeholder", "StopGradient", "PreventGradient", "ReadVariableOp", "ShapeN", "Rank"),
}
# `pixelwise_warp` multiplies mostly zeros; what it has to do is k*k multiply-adds a value.
_WARP = "pixelwise_warp"


def operations(graph: tf.Graph) -> Iterator[tf.Operation]:
    """Every operation of a graph, those of the functions it calls once for each call."""
    for operation in graph.get_operations():
        if operation.type in _CALLS:
            function = operation.graph._get_function(operation.get_attr("f").name)
            yield from operations(function.graph)
        else:
            yield operation


def _size(tensor: tf.Tensor) -> int:
    return math.prod(size or 1 for size in tensor.shape.as_list())


def forward_flops(graph: tf.Graph) -> float:
    """Twice the multiply-adds of the convolutions, matrix products and warps of a forward graph."""
    total = 0
    for operation in operations(graph):
        if operation.type in ("Conv2D", "Conv3D"):
            kernel = operation.inputs[1].shape
            total += 2 * _size(operation.outputs[0]) * math.prod(kernel[:-1])
        elif operation.type in ("MatMul", "BatchMatMulV2", "BatchMatMulV3"):
            if _WARP in operation.name:
                # [W, k W] times [k W, C] stands for k*k multiply-adds a value of [W, C].
                size = operation.inputs[0].shape[-1] // operation.inputs[0].shape[-2]
                total += 2 * size**2 * _size(operation.outputs[0])
            else:
                transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
                axis = -2 if operation.get_attr(transposed) else -1
                total += 2 * _size(operation.outputs[0]) * operation.inputs[0].shape[axis]
    return float(total)


def moved_bytes(graph: tf.Graph) -> float:
    """Bytes that all operations read and write, each by itself, as they run without a compiler."""
    total = 0
    for operation in operations(graph):
        if operation.type not in _FREE:
            tensors = [*operation.inputs, *operation.outputs]
            total += sum(_size(t) * t.dtype.size for t in tensors if t.dtype != tf.resource)
    return float(total)
