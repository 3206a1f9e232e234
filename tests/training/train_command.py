"""`trivd train` with the networks and the compiled step that all tests of this folder share."""

import pytest

from trivd_tf.cli.main import main
from trivd_tf.training import loop

TINY = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import models
from trivd_tf import training

include "runs/bouncing_digits.gin"

data.ClipSpec:
    num_conditioning_frames = 2
    num_predicted_frames = 3
    size = 16
models.generator.channel_multiplier = 1
models.discriminators.channel_multiplier = 1
training.TrainingOptions:
    batch_size = 2
    num_steps = 6
    steps_per_loop = 1
    checkpoint_every_steps = 2
    save_patience_seconds = 0.2
    summary_every_steps = 100
    sample_every_steps = 0
"""


@pytest.fixture
def train(tiny, tmp_path, monkeypatch, capfd):
    """Runs the command with something that happens before a given step; status and stderr."""
    (tmp_path / "tiny.gin").write_text(TINY)

    def run(
        before_step: int = -1,
        happens=lambda: None,
        model=tmp_path / "model",
        more=None,
        printed=None,
    ) -> tuple[int, list[str]]:
        class Loop:
            times_traced, tracing_seconds = 1, 0.0

            def __init__(self, step, strategy, counters):
                self._counters = counters

            def __call__(self, iterator, count):
                if int(self._counters.step) + 1 == before_step:
                    happens()
                metrics = tiny.loop(iterator, count)
                self._counters.step.assign_add(count)
                return metrics

        tiny.reset()
        monkeypatch.setattr(loop, "build_step", lambda *a: tiny.step)
        monkeypatch.setattr(loop, "CompiledLoop", Loop)
        flags = [
            "--model_dir",
            model,
            *(["--gin_file", tmp_path / "tiny.gin"] if more is None else more),
        ]
        status = main(["train", *map(str, flags)])
        output = capfd.readouterr()
        if printed is not None:
            printed.extend(output.out.splitlines())
        return status, output.err.splitlines()

    return run
