"""What every layer, unit, model and decomposition owes its users."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.subjects import SUBJECTS, make_seeded
from trivd_tf.models import Generator

# A second generator, and compiling the closest relatives of other units, is for long runs.
ANOTHER = "generator_conv_lstm"
RELATIVES = ("tsru_c", "tsru_p", "ptsru_c", "ptsru_s")
every_subject = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long if n == ANOTHER else ()) for n in SUBJECTS]
)
# What adds the same to a whole channel right before a batch norm, which takes it off again: the
# gradient is zero but for rounding. The last norm follows these without a recurrent unit between.
TAKEN_OFF = {f"stage_3/{name}/bias" for name in ("conv", "block/conv_2", "up/conv_2", "up/skip")}
COMPILED = [
    pytest.param(name, marks=pytest.mark.long if subject.is_model or name in RELATIVES else ())
    for name, subject in SUBJECTS.items()
]


@pytest.fixture(scope="module")
def plain():
    """`(made, inputs, outputs, loss, gradients)` of a subject, run eagerly in float32, once."""
    known = {}

    def get(name):
        if name not in known:
            subject = SUBJECTS[name]
            made, inputs = make_seeded(subject)
            known[name] = (made, inputs, *subject.loss_and_gradients(made, inputs))
        return known[name]

    return get


def relative_error(expected, value, floor: float = 1e-6) -> float:
    expected, value = np.asarray(expected, np.float64), np.asarray(value, np.float64)
    return float(np.linalg.norm(value - expected) / max(np.linalg.norm(expected), floor))


def typical(gradient) -> float:
    """Root mean square of its elements."""
    return float(np.sqrt(np.mean(np.square(np.asarray(gradient, np.float64)))))


@every_subject
def test_shapes(name, plain):
    subject = SUBJECTS[name]
    assert [tuple(output.shape) for output in plain(name)[2]] == list(subject.shapes)


@every_subject
def test_every_variable_has_a_gradient(name, plain):
    made, *_, gradients = plain(name)
    variables = SUBJECTS[name].variables(made)
    missing = [v.path for v, g in zip(variables, gradients, strict=True) if g is None]
    assert variables
    assert not missing
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    sizes = [typical(gradient) for gradient in gradients]
    dead = {
        v.path for v, size in zip(variables, sizes, strict=True) if size < 1e-5 * np.mean(sizes)
    }
    expected = TAKEN_OFF if isinstance(made, Generator) else set()
    assert {path.partition("/")[2] for path in dead} == expected


@every_subject
def test_a_seed_decides_weights_and_outputs(name, plain):
    _, inputs, outputs, *_ = plain(name)
    subject = SUBJECTS[name]
    again, _ = make_seeded(subject)
    for one, other in zip(outputs, subject.outputs(again, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@every_subject
def test_config_round_trip(name, plain):
    made, inputs, outputs, *_ = plain(name)
    subject = SUBJECTS[name]
    twins = [type(one).from_config(one.get_config()) for one in subject.layers(made)]
    for one, twin in zip(subject.layers(made), twins, strict=True):
        assert twin.get_config() == one.get_config()
    twin = twins if isinstance(made, list) else twins[0]
    subject.outputs(twin, inputs)
    for one, copy in zip(subject.layers(made), twins, strict=True):
        copy.set_weights(one.get_weights())
    for one, other in zip(outputs, subject.outputs(twin, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


def _traced(subject, made, inputs):
    """A function of exactly these inputs."""
    run = tf.function(lambda *given: subject.outputs(made, list(given)), autograph=False)
    run.get_concrete_function(*[tf.TensorSpec(one.shape, one.dtype) for one in inputs])
    return run


@pytest.fixture(scope="module")
def chosen(pytestconfig) -> list[str]:
    """Names of the subjects that this run tests."""
    return [name for name in SUBJECTS if name != ANOTHER or pytestconfig.getoption("--run-long")]


@pytest.fixture(scope="module")
def saved(plain, chosen, tmp_path_factory):
    """What is saved and what is loaded: one SavedModel, since each alone would take minutes."""
    module = tf.Module()
    module.variables_of_subjects, module.functions = [], {}
    for name in chosen:
        subject = SUBJECTS[name]
        made, inputs, *_ = plain(name)
        layers = subject.layers(made)
        module.variables_of_subjects += [v.value for layer in layers for v in layer.variables]
        module.functions[name] = _traced(subject, made, inputs)
    folder = tmp_path_factory.mktemp("saved")
    tf.saved_model.save(module, str(folder))
    return module, tf.saved_model.load(str(folder))


@every_subject
def test_saved_model_round_trip(name, plain, saved):
    _, inputs, outputs, *_ = plain(name)
    given = [tf.constant(one) for one in inputs]
    traced, loaded = (module.functions[name](*given) for module in saved)
    for one, other, eager in zip(traced, loaded, outputs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
        # Operation by operation rounds differently from a graph that is rewritten.
        assert relative_error(eager, other) < 1e-5


@pytest.mark.parametrize("name", COMPILED)
def test_compiled_by_xla_equals_plain(name, plain):
    made, inputs, outputs, loss, gradients = plain(name)
    subject = SUBJECTS[name]
    run = tf.function(
        lambda *given: subject.loss_and_gradients(made, list(given)),
        jit_compile=True,
        autograph=False,
    )
    compiled = run(*[tf.constant(one) for one in inputs])
    np.testing.assert_allclose(loss, compiled[1], rtol=1e-3, atol=1e-3)
    for one, other in zip(outputs, compiled[0], strict=True):
        assert relative_error(one, other) < 1e-3
    floor = 1e-3 * max(np.linalg.norm(gradient) for gradient in gradients)
    for one, other in zip(gradients, compiled[2], strict=True):
        assert relative_error(one, other, floor) < 1e-3


@every_subject
def test_mixed_bfloat16_is_finite_and_close(name, plain):
    made, inputs, outputs, *_ = plain(name)
    subject = SUBJECTS[name]
    mixed, _ = make_seeded(subject, "mixed_bfloat16")
    layers = zip(subject.layers(made), subject.layers(mixed), strict=True)
    for one, twin in layers:
        twin.set_weights(one.get_weights())
        assert twin.compute_dtype == "bfloat16"
    inputs = [tf.cast(x, tf.bfloat16) if x.dtype == np.float32 else x for x in inputs]
    values, _, gradients = subject.loss_and_gradients(mixed, inputs)
    assert all(gradient.dtype == tf.float32 for gradient in gradients)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    for one, other in zip(outputs, values, strict=True):
        assert relative_error(one, other) < subject.tolerance


@pytest.fixture(scope="module")
def replicated(chosen):
    """What `replicas.py` found; this process has one device only."""
    script = Path(__file__).with_name("replicas.py")
    environment = {**os.environ, "TF_NUM_INTEROP_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, str(script), *chosen], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@every_subject
def test_two_replicas_equal_one(name, replicated):
    found = replicated[name]
    assert found["outputs"] < 1e-4, found
    assert found["loss"] < 1e-4, found
    assert found["gradients"] < 1e-3, found
