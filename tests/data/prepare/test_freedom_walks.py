"""Generated walks: fixed by the seed, apart from each other, and a crash is one line."""

import numpy as np
import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare.stored import files_of, read_set
from trivd_tf import data
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.data.prepare import prepare
from trivd_tf.data.prepare.sets import freedom_walks
from trivd_tf.data.prepare.videos import Video

pytest.importorskip("vizdoom")
pytestmark = NEEDS_BEAM

OPTIONS = {"frames": 2 * freedom_walks.WALK_FRAMES, "size": 16}


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    return prepare("freedom_walks", output=str(tmp_path_factory.mktemp("walks") / "set"), **OPTIONS)


def test_walks_are_stored_apart_and_move(walks):
    stored = read_set(walks.output)
    (train,), (test,) = stored["train"], stored["test"]
    assert (train["source"], test["source"]) == (b"train/map01", b"test/map05")
    for walk in (train, test):
        frames = walk["video"].astype(int)
        assert frames.shape == (freedom_walks.WALK_FRAMES, 16, 16, 3)
        assert np.abs(np.diff(frames, axis=0)).mean() > 2
        assert walk["frame_rate"] == 17.5
    clip = data.ClipSpec(num_conditioning_frames=5, num_predicted_frames=11, size=16, stride=1)
    assert data.FreedomWalks(data_dir=walks.output).num_evaluation_clips(clip, "test") == 177


def test_the_seed_fixes_every_frame_and_nothing_else_does(walks, tmp_path):
    with freedom_walks._Engine(16) as engine:
        # After another walk in another map, with the seed of the stored one.
        engine.walk(map_name="map02", seed=[9, 0, 0], frames=3, tics=1)
        ask = {"map_name": "map01", "frames": 192, "tics": 2}
        same = engine.walk(seed=[0, 0, 0], **ask)
        other = engine.walk(seed=[1, 0, 0], **ask)
    np.testing.assert_array_equal(same, read_set(walks.output)["train"][0]["video"])
    assert np.abs(same.astype(int) - other).mean() > 2


@pytest.mark.long
def test_a_second_preparation_has_the_same_files(walks, tmp_path):
    again = prepare("freedom_walks", output=str(tmp_path / "again"), **OPTIONS)
    assert files_of(again.output) == files_of(walks.output)


def test_what_stands_still_or_ends_early_is_left_out():
    moving = np.random.default_rng(0).integers(0, 255, (192, 4, 4, 3), np.uint8)
    assert isinstance(freedom_walks.check_moving(moving, 17.5), Video)
    still = moving.copy()
    still[32:48] = 7
    assert "frames 32 to 47 change by 0.00" in str(freedom_walks.check_moving(still, 17.5))
    assert "ended after 100 frames" in str(freedom_walks.check_moving(moving[:100], 17.5))


def test_a_dead_engine_is_one_line(monkeypatch, tmp_path):
    program = tmp_path / "engine.py"
    program.write_text("import os; os.kill(os.getpid(), 11)")
    monkeypatch.setattr(freedom_walks.freedom_engine, "__file__", str(program))
    with pytest.raises(InputError, match=r"^ViZDoom's engine ended \(SIGSEGV\)$"):
        prepare("freedom_walks", output=str(tmp_path / "out"), **OPTIONS)
    assert not (tmp_path / "out").exists()
    program.write_text(
        "print('ready', flush=True); input(); raise OSError('shared memory is full')"
    )
    engine = freedom_walks._Engine(16)
    with engine, pytest.raises(RunError, match=r"shared memory is full\); .* /dev/shm"):
        engine.walk(map_name="map01")


def test_rates_that_the_engine_cannot_run_at_are_refused():
    assert [freedom_walks.tics_of(rate) for rate in (35, 17.5, 11.67, 7)] == [1, 2, 3, 5]
    for rate in (30, 0, -1, 20):
        with pytest.raises(InputError, match=r"choose one of 35, 17.5, 11.6667"):
            freedom_walks.tics_of(rate)
