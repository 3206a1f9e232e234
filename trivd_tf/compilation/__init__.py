"""Compilation of the train step and the prediction for a TPU, on a machine without one.

The entry point is `compile.compile_job`. Nothing is imported here, because the process that uses
libtpu (`tpu_compiler`) must not load TensorFlow.
"""
