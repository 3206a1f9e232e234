"""`trivd train` as a command: what a full disk and a loss that is not finite do to a run.

The networks and the compiled step are those that all tests of this folder share.
"""

import resource
from pathlib import Path

import numpy as np

from trivd_tf.base.storage import run_folder
from trivd_tf.cli.main import main
from trivd_tf.runs import record as run_record
from trivd_tf.training import loop
from trivd_tf.training.checkpoints import Checkpoints, checkpoint_paths
from trivd_tf.training.losses_log import read_losses


def saved_steps(folder) -> list[int]:
    return [int(path.rpartition("-")[2]) for path in checkpoint_paths(folder / "model/checkpoints")]


def check_goes_on(train, tiny, folder):
    """The newest checkpoint loads, and the same command ends the run."""
    assert Checkpoints(folder / "model/checkpoints", tiny.step, loop.Counters()).restore() == 4
    assert train()[0] == 0
    assert saved_steps(folder)[-1] == 6
    assert [row["step"] for row in read_losses(folder / "model/losses.jsonl")] == [*range(1, 7)]


def test_a_full_disk_ends_the_run_and_the_checkpoint_before_it_stays(train, tiny, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # As on a full disk, a write fails half way; here for files beyond that size.
        status, said = train(
            6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (9000, limits[1]))
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    assert said[-1].startswith(f"trivd: error: cannot save to {tmp_path / 'model/checkpoints'}: ")
    assert "free space" in said[-1]
    check_goes_on(train, tiny, tmp_path)


def test_a_folder_that_cannot_be_written_ends_the_run(train, tiny, tmp_path):
    folder = tmp_path / "model/checkpoints"

    def put_aside():
        folder.rename(tmp_path / "aside")
        folder.write_text("in the way")  # stops root too, which rights do not

    status, said = train(6, put_aside)
    assert status == 1
    assert said[-1].startswith(f"trivd: error: cannot save to {folder}: ")
    folder.unlink()
    (tmp_path / "aside").rename(folder)
    check_goes_on(train, tiny, tmp_path)


def test_what_is_not_finite_stops_the_run_before_it_is_saved(train, tiny, tmp_path):
    def poison():
        tiny.step.generator.trainable_variables[0].assign_add(
            np.full(tiny.step.generator.trainable_variables[0].shape, np.nan)
        )

    status, said = train(6, poison)
    assert status == 1
    assert said[-1].startswith("trivd: error: step 6: ")
    assert " is nan: training stopped, the last checkpoint before it stays" in said[-1]
    assert saved_steps(tmp_path)[-1] == 4
    check_goes_on(train, tiny, tmp_path)


def test_a_run_in_a_store_goes_on_and_its_parts_are_there(train, tiny, tmp_path):
    """TensorFlow's file system in memory stands for gs:// here: pathlib knows neither."""

    def stop():
        raise KeyboardInterrupt

    model = run_folder(f"ram://{tmp_path.name}/run")
    assert train(6, stop, model=model)[0] == 130
    assert [Path(path).name for path in checkpoint_paths(model / "checkpoints")] == [
        "ckpt-2",
        "ckpt-4",
    ]
    steps = ["--gin_bindings", "training.TrainingOptions.num_steps = 7"]
    status, said = train(model=model, more=steps)
    assert status == 0
    assert said[0] == "trivd: changed: training.TrainingOptions.num_steps was 6 and is now 7"
    assert Checkpoints(model / "checkpoints", tiny.step, loop.Counters()).restore() == 7
    assert [row["step"] for row in read_losses(model / "losses.jsonl")] == [*range(1, 8)]
    assert len(run_record.read(model)["resumed"]) == 1
    assert "num_steps = 7" in (model / "config.gin").read_text()
    assert list((model / "tensorboard").glob("events*"))
    assert not list(tmp_path.glob("ram*"))
    assert not Path("ram:").exists()


def test_what_needs_a_folder_of_this_machine_says_so(train, capfd):
    scored = ["--gin_file", "bouncing_digits", "--gin_bindings"]
    scored += ["training.TrainingOptions.evaluate_every_steps = 5"]
    status, said = train(model="ram://none/run", more=scored)
    assert (status, len(said)) == (2, 1)
    assert "evaluate_every_steps = 0" in said[0]
    assert main(["export", "--model_dir", "gs://bucket/run", "--export_dir", "e"]) == 2
    assert "copy it here first" in capfd.readouterr().err
