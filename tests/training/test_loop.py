"""The loop: resuming bit for bit, refusing what is not finite, full disks, logs."""

import dataclasses
import json
import resource
import threading
import time

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.training import TrainingOptions, loop
from trivd_tf.training.checkpoints import Checkpoints, checkpoint_paths
from trivd_tf.training.loop import check_finite
from trivd_tf.training.losses_log import LossesLog, read_losses


def _run(tiny, steps):
    metrics = tiny.loop(tiny.iterator(), steps)
    return {name: values for name, values in metrics.items() if name != "seconds_waiting"}


def test_a_run_cut_off_and_resumed_gives_the_same_losses_bit_for_bit(tiny, tmp_path):
    whole = _run(tiny, 4)
    tiny.reset()
    first = _run(tiny, 2)
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters)
    checkpoints.save()
    _run(tiny, 1)  # work that the cut loses
    assert checkpoints.restore() == 2
    second = _run(tiny, 2)
    for name, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([first[name], second[name]]), name)
    assert len(np.unique(whole["generator/loss"])) == 4


def test_counters_tell_steps_and_clips(tiny):
    _run(tiny, 2)
    assert int(tiny.counters.step) == 2
    assert int(tiny.counters.clips) == 2 * 3 * 2


def test_waiting_for_data_is_told_from_computing(tiny):
    iterator = tiny.iterator()
    batch, delay = next(iterator), 0.0

    def batches():
        while True:
            time.sleep(delay)
            yield batch

    def seconds_waiting():
        given = tf.data.Dataset.from_generator(batches, output_signature=iterator.element_spec)
        started = time.perf_counter()
        waited = tiny.loop(iter(given), 2)["seconds_waiting"]
        return waited, time.perf_counter() - started

    waited, seconds = seconds_waiting()
    assert waited.sum() < 0.5 * seconds
    delay = 0.4  # a batch; a step takes three
    waited, _ = seconds_waiting()
    np.testing.assert_allclose(waited, 3 * delay, rtol=0.3)


def test_a_full_disk_is_an_error_and_the_checkpoint_before_still_loads(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters)
    tiny.counters.step.assign(1)
    checkpoints.save()
    tiny.counters.step.assign(2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(RunError, match="cannot save to"):
            checkpoints.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert Checkpoints(tmp_path, tiny.step, tiny.counters).restore() == 1


def test_a_damaged_checkpoint_is_passed_over(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters)
    for step in (3, 5):
        tiny.counters.step.assign(step)
        checkpoints.save()
    newest = checkpoint_paths(tmp_path)[-1]
    with open(f"{newest}.data-00000-of-00001", "r+b") as file:
        file.truncate(100)
    assert checkpoints.restore() == 3
    for path in tmp_path.glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(RunError, match="no checkpoint in"):
        checkpoints.restore()


def test_what_a_killed_process_left_goes_with_the_next_checkpoint(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters, keep=2)
    for step in (1, 2, 9):
        tiny.counters.step.assign(step)
        checkpoints.save()
    (tmp_path / "checkpoint").unlink()  # so that TensorFlow does not know of those before
    (tmp_path / "ckpt-3_temp").mkdir()
    (tmp_path / "ckpt-3_temp" / "part-00000-of-00001.index").write_text("half")
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters, keep=2)
    for step in (3, 4):
        tiny.counters.step.assign(step)
        checkpoints.save()
    # One of a later step may be damaged, which is why the run is behind it: it does not count.
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "ckpt-3.index",
        "ckpt-4.index",
        "ckpt-9.index",
    ]
    assert not list(tmp_path.glob("*_temp"))
    assert len(list(tmp_path.iterdir())) == 3 * 2 + 1


def test_a_first_checkpoint_that_was_cut_off_is_none(tiny, tmp_path):
    checkpoints = Checkpoints(tmp_path, tiny.step, tiny.counters)
    tiny.counters.step.assign(3)
    checkpoints.save()
    index = tmp_path / "ckpt-3.index"
    index.write_bytes(index.read_bytes()[:50])
    tiny.counters.step.assign(0)
    with pytest.raises(RunError, match="no checkpoint in"):
        checkpoints.restore()
    (tmp_path / "ckpt-3_temp").mkdir()  # as TensorFlow leaves it when killed while it writes
    assert checkpoints.restore() == 0
    tiny.counters.step.assign(3)
    checkpoints.save()
    assert not (tmp_path / "ckpt-3_temp").exists()
    assert checkpoints.restore() == 3


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stops_with_step_and_term(bad):
    metrics = {"seconds_waiting": np.zeros(3), "generator/loss": np.array([1.0, bad, bad])}
    with pytest.raises(RunError, match=r"step 12: generator/loss is (nan|inf)"):
        check_finite(metrics, first_step=10)


def test_the_log_drops_lines_after_the_checkpoint(tmp_path):
    path = tmp_path / "losses.jsonl"
    log = LossesLog(path)
    values = np.array([1.1, 2.2, 3.3], np.float32)
    log.write({"a": values, "seconds_waiting": values}, 0)
    log.flush()
    with path.open("a") as file:
        file.write('{"step": 4, "a"')  # truncated by a kill
    again = LossesLog(path, resume_at=2)
    again.write({"a": values[:1], "seconds_waiting": values[:1]}, 2)
    again.flush()
    rows = read_losses(path)
    assert [row["step"] for row in rows] == [1, 2, 3]
    np.testing.assert_array_equal(
        np.float32([row["a"] for row in rows]), np.float32([1.1, 2.2, 1.1])
    )
    assert all(set(json.loads(line)) == {"step", "a"} for line in path.read_text().splitlines())


def test_losses_that_could_not_be_written_are_written_once_later(tmp_path):
    path = tmp_path / "losses.jsonl"
    log = LossesLog(path)
    log.write({"a": np.arange(100.0)}, 0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # in the middle of a line
    try:
        with pytest.raises(OSError, match="File too large"):
            log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    log.flush()
    assert read_losses(path) == [{"step": n + 1, "a": float(n)} for n in range(100)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"ema_decay": 1.0}, "ema_decay must be"),
        ({"precision": "float8"}, "precision must be one of float32"),
        ({"generator_learning_rate": float("nan")}, "generator_learning_rate must be more than 0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        TrainingOptions(**options)


def test_class_conditional_needs_labels(tiny):
    with pytest.raises(InputError, match="has no labels"):
        dataclasses.replace(tiny.experiment, class_conditional=True).build_generator()


class CountingLoop:
    """In the place of the compiled loop: counts steps and takes no time."""

    times_traced, tracing_seconds = 1, 0.0

    def __init__(self, step, strategy, counters):
        self._counters = counters

    def __call__(self, iterator, count):
        self._counters.step.assign_add(count)
        return {"generator/loss": np.zeros(count)}


def test_a_step_is_scored_after_its_checkpoint_and_again_where_that_was_cut_off(
    tiny, tmp_path, monkeypatch
):
    options = {"num_steps": 7, "evaluate_every_steps": 3, "checkpoint_every_steps": 100}
    training = dataclasses.replace(tiny.experiment.training, **options)
    experiment = dataclasses.replace(tiny.experiment, training=training)
    monkeypatch.setattr(loop, "build_step", lambda *a: tiny.step)
    monkeypatch.setattr(loop, "CompiledLoop", CountingLoop)
    scored = []
    stop = threading.Event()

    def on_score(step):
        assert checkpoint_paths(tmp_path / "checkpoints")[-1].endswith(f"-{step}")
        scored.append(step)
        if scored == [3]:
            stop.set()  # the score is left unfinished

    def run():
        return loop.train(experiment, model_dir=tmp_path, seed=7, stop=stop, on_score=on_score)

    assert run().was_stopped
    stop.clear()
    assert run().step == 7
    assert scored == [3, 3, 6]
    assert run().step == 7
    assert scored == [3, 3, 6]
