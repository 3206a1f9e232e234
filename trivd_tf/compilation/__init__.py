"""Compiling the train step and the prediction for a TPU on a machine that has none.

`compile.compile_experiment` is the way in. Nothing is imported here: the process that talks to
libtpu (`tpu_compiler`) must not load TensorFlow.
"""
