"""`--start_from`: whose weights a new run begins with, and what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.runs.start import Start, save_discriminators

CONFIG = """
from __gin__ import dynamic_registration
from trivd_tf import experiment
from trivd_tf import models
experiment.Experiment.generator = @models.generator()
models.generator.channel_multiplier = {width}
models.generator.recurrent_unit = "{unit}"
"""


def text(width=1, unit="tsru_p"):
    return CONFIG.format(width=width, unit=unit)


def values(step):
    networks = [step.generator, *step.discriminators]
    of_networks = [v.numpy() for model in networks for v in model.variables]
    return of_networks + [v.numpy() for v in step.average.averages]


def optimizers(step):
    both = (step.generator_optimizer, step.discriminator_optimizer)
    return [v.numpy() for optimizer in both for v in optimizer.variables]


def disturb(step):
    """Weights and optimisers unlike those of the source."""
    for model in (step.generator, *step.discriminators):
        for variable in model.variables:
            variable.assign(variable.numpy() + 1)
    for optimizer in (step.generator_optimizer, step.discriminator_optimizer):
        for variable in optimizer.variables:
            variable.assign(variable + 1)


@pytest.fixture
def run_folder(tiny, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "checkpoints").symlink_to(tiny.checkpoints.directory)
    (folder / "config.gin").write_text(text())
    return folder


@pytest.fixture
def export_folder(tiny, tmp_path):
    folder = tmp_path / "export"
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").touch()
    (folder / "config.gin").write_text(text())
    root = tf.train.Checkpoint()
    root.variables = [
        tf.Variable(tf.cast(v.value, tf.float16)) for v in tiny.step.generator.variables
    ]
    root.write(str(folder / "variables" / "variables"))
    return folder


def test_a_run_gives_all_its_networks_and_no_optimiser(tiny, run_folder):
    before = values(tiny.step)
    disturb(tiny.step)
    others = optimizers(tiny.step)
    lines = []
    Start(str(run_folder), text(), report=lines.append)(tiny.step)
    for mine, theirs in zip(values(tiny.step), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, unchanged in zip(optimizers(tiny.step), others, strict=True):
        np.testing.assert_array_equal(mine, unchanged)
    assert lines == [f"trivd: starts from {run_folder}: all networks of step 0"]


def test_an_export_gives_its_generator_and_the_discriminators_beside_it(tiny, export_folder):
    before = values(tiny.step)
    count = len(tiny.step.generator.variables)
    disturb(tiny.step)
    lines = []
    start = Start(str(export_folder), text(), report=lines.append)
    start(tiny.step)
    after = values(tiny.step)
    for mine, theirs in zip(after[:count], before[:count], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
    assert not np.array_equal(after[count], before[count])
    assert lines[0].endswith("an export holds no discriminators, which start from scratch")
    weights = [v.numpy() for v in tiny.step.generator.trainable_variables]
    for average, weight in zip(tiny.step.average.averages, weights, strict=True):
        np.testing.assert_array_equal(average, weight)

    tiny.reset()
    save_discriminators(export_folder / "discriminators.npz", tiny.step.discriminators)
    disturb(tiny.step)
    start(tiny.step)
    for mine, theirs in zip(values(tiny.step)[count:], before[count:], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"width": 2}, "models.generator.channel_multiplier is 1 there and 2 here"),
        ({"unit": "conv_gru"}, "models.generator.recurrent_unit is 'tsru_p' there and 'conv_gru'"),
    ],
)
def test_other_networks_are_refused_by_name(tmp_path, changes, line):
    (tmp_path / "config.gin").write_text(text())
    with pytest.raises(InputError, match=line):
        Start(str(tmp_path), text(**changes))


def test_options_that_weights_do_not_depend_on_may_differ(tmp_path):
    (tmp_path / "config.gin").write_text(text() + "models.generator.motion_levels = 2\n")
    # Another depth of the motion field, and an option that the other version did not know.
    more = "models.generator.motion_levels = 1\nmodels.generator.post_kernel_size = 3\n"
    Start(str(tmp_path), text() + more)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a model directory nor an export"):
        Start(str(tmp_path), text())
    with pytest.raises(InputError, match="--start_from smal: neither"):
        Start("smal", text())


def test_weights_that_do_not_fit_are_one_line(tiny, export_folder):
    root = tf.train.Checkpoint()
    root.variables = [tf.Variable([1.0])]
    root.write(str(export_folder / "variables" / "variables"))
    with pytest.raises(InputError, match="does not fit this run"):
        Start(str(export_folder), text())(tiny.step)
