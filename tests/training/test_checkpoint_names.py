"""A run resumes in any process, whatever models that process built before."""

import types

import pytest
import tensorflow as tf

from trivd_tf.layers.recurrent import CELLS, make_cell
from trivd_tf.training.checkpoints import Checkpoints, Counters


def step_of(first_unit: int, value: float):
    """A step whose units bear the numbers of a process that built `first_unit` units before.

    The names are those that Keras 3 gives an optimizer's variables: the path of their weight.
    """
    units = [f"conv_gru_{n}" if n else "conv_gru" for n in range(first_unit, first_unit + 3)]
    stages = [
        types.SimpleNamespace(name=f"stage_{n + 1}", cell=types.SimpleNamespace(name=unit))
        for n, unit in enumerate(units)
    ]

    def owner(*names):
        variables = [
            types.SimpleNamespace(name=name, value=tf.Variable(value + n))
            for n, name in enumerate(names)
        ]
        return types.SimpleNamespace(variables=variables)

    generator = owner("kernel", "bias")
    generator.stages = stages
    moments = [f"generator_stage_{n + 1}_{unit}_read_kernel_momentum"
               for n, unit in enumerate(units)]  # fmt: skip
    return types.SimpleNamespace(
        generator=generator,
        generator_optimizer=owner("iteration", *moments),
        discriminator_optimizer=owner("iteration"),
        discriminators=[],
        average=types.SimpleNamespace(averages=[tf.Variable(value)]),
    )


@pytest.mark.parametrize(("before", "now"), [(0, 3), (3, 0), (9, 11), (1, 2)])
def test_models_built_before_do_not_keep_a_run_from_resuming(tmp_path, before, now):
    Checkpoints(tmp_path, step_of(before, 5.0), Counters()).save()
    resumed = step_of(now, 0.0)
    Checkpoints(tmp_path, resumed, Counters()).restore()
    found = [float(one.value.numpy()) for one in resumed.generator_optimizer.variables]
    assert found == [5.0, 6.0, 7.0, 8.0]


def test_names_are_those_of_a_process_that_trains_and_nothing_else(tmp_path):
    """So that checkpoints of earlier versions still load."""
    path = Checkpoints(tmp_path, step_of(3, 1.0), Counters()).save()
    names = " ".join(name.replace(".S", "/") for name, _ in tf.train.list_variables(path))
    for number, unit in enumerate(("conv_gru", "conv_gru_1", "conv_gru_2"), start=1):
        name = f"generator_optimizer/000{number}/generator_stage_{number}_{unit}_read_kernel_m"
        assert name in names


@pytest.mark.parametrize("unit", sorted(CELLS))
def test_the_parts_of_a_unit_bear_no_numbers(unit):
    """What the names rely on: of a unit's path, only its own name depends on the process."""
    paths = []
    for _ in range(2):
        cell = make_cell(unit, 4)
        cell.build((None, 8, 8, 4))
        paths.append([weight.path.split("/", 1)[1] for weight in cell.weights])
    assert paths[0] == paths[1]
    assert paths[0]
