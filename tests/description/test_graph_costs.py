"""Costs of graphs whose multiply-adds can be counted by hand."""

import tensorflow as tf

from trivd_tf.description.graph_costs import flops, moved_bytes, traced


def test_a_convolution_and_its_gradients_cost_the_same():
    images = tf.TensorSpec([2, 8, 6, 3], tf.float32)
    kernel = tf.TensorSpec([3, 3, 3, 5], tf.float32)

    def forward(x, w):
        return tf.nn.conv2d(x, w, 1, "SAME")

    def backward(x, w):
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            outputs = forward(x, w)
        return tape.gradient(outputs, [x, w])

    once = 2 * (2 * 8 * 6 * 5) * (3 * 3 * 3)
    assert flops(traced(forward, images, kernel)) == once
    assert flops(traced(backward, images, kernel)) == 3 * once


def test_a_convolution_in_3d():
    videos = tf.TensorSpec([2, 4, 8, 8, 3], tf.float32)
    kernel = tf.ones([3, 3, 3, 3, 6])
    graph = traced(lambda x: tf.nn.conv3d(x, kernel, [1] * 5, "SAME"), videos)
    assert flops(graph) == 2 * (2 * 4 * 8 * 8 * 6) * (3 * 3 * 3 * 3)


def test_matrix_products_count_their_inner_axis():
    left, right = tf.TensorSpec([4, 7], tf.float32), tf.TensorSpec([4, 5], tf.float32)
    graph = traced(lambda a, b: tf.matmul(a, b, transpose_a=True), left, right)
    assert flops(graph) == 2 * 7 * 5 * 4


def test_functions_count_once_for_each_call():
    inner = tf.function(lambda x: tf.matmul(x, x))
    graph = traced(lambda x: inner(inner(x)), tf.TensorSpec([3, 3], tf.float32))
    assert flops(graph) == 2 * 2 * 27


def test_bytes_are_what_operations_read_and_write():
    graph = traced(lambda x: tf.reshape(x + x, [6]), tf.TensorSpec([2, 3], tf.float32))
    assert moved_bytes(graph) == 3 * 6 * 4
