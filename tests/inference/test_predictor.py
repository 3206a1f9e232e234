"""Predictors: one answer from every kind, long futures, and bad input."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.inference import SavedModelPredictor, load_predictor
from trivd_tf.inference.latents import latents
from trivd_tf.inference.predictor_base import Predictor


def by_hand(generator, conditioning: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The generator called directly, scaled and rounded in NumPy."""
    frames = generator(conditioning.astype(np.float32) / 127.5 - 1, tf.constant(z), training=False)
    return np.round((np.clip(frames.numpy().astype(np.float64), -1, 1) + 1) * 127.5)


def test_predict_is_the_generator(in_process, generator, clips) -> None:
    z = latents(4, num_clips=3, num_samples=1, latent_size=128, truncation=0.5)[:, 0]
    frames = in_process.predict(clips, seed=4, truncation=0.5)
    assert frames.dtype == np.uint8
    assert np.ptp(frames) > 100
    np.testing.assert_allclose(frames, by_hand(generator, clips, z), atol=1)
    assert (frames == by_hand(generator, clips, z)).mean() > 0.999


def test_long_futures_feed_back_what_was_predicted(in_process, generator, clips) -> None:
    z = latents(1, num_clips=3, num_samples=1, latent_size=128, truncation=None)[:, 0]
    first = by_hand(generator, clips, z).astype(np.uint8)
    second = by_hand(generator, first, z)
    frames = in_process.predict(clips, seed=1, num_frames=3)
    assert frames.shape == (3, 3, 16, 16, 3)
    np.testing.assert_allclose(frames[:, :2], first, atol=1)
    np.testing.assert_allclose(frames[:, 2], second[:, 0], atol=1)
    np.testing.assert_array_equal(in_process.predict(clips, seed=1, num_frames=1), frames[:, :1])


def test_exported_and_in_process_agree(exported, in_process, clips) -> None:
    options = {"num_samples": 3, "seed": 9, "truncation": 1.5, "num_frames": 5}
    ours, theirs = (
        predictor.predict_samples_with_motion(clips, **options)
        for predictor in (in_process, exported)
    )
    assert ours[0].shape == (3, 3, 5, 16, 16, 3)
    assert ours[1].shape == (3, 3, 5, 16, 16, 2)
    np.testing.assert_allclose(theirs[0], ours[0], atol=1)
    np.testing.assert_allclose(theirs[1], ours[1], atol=1e-5)
    assert (exported.stride, exported.has_motion) == (2, True)


def test_many_clips_are_predicted_in_parts(in_process, clips) -> None:
    many = np.concatenate([clips] * 7)
    together = in_process.predict(many, truncation=0)
    assert together.shape[0] == 21
    for start in range(0, 21, 3):
        np.testing.assert_allclose(together[start : start + 3], together[:3], atol=1)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_give_the_futures_of_their_bytes_as_floats(in_process, clips, kind) -> None:
    floats = (clips / 127.5 - 1).astype(kind)
    of_bytes, of_floats = (
        in_process.predict_samples(given, num_samples=2, num_frames=3) for given in (clips, floats)
    )
    assert (of_floats.dtype, of_bytes.dtype) == (kind, np.uint8)
    np.testing.assert_allclose(of_floats, of_bytes / 127.5 - 1, atol=1e-6)
    frames, flow = in_process.predict_with_motion(floats)
    assert (frames.dtype, flow.dtype) == (kind, np.float32)


def test_a_clips_answer_does_not_depend_on_the_others(in_process, clips) -> None:
    changed = clips.copy()
    changed[1:] = 255 - changed[1:]
    for seed in (0, 1):
        one, other = (in_process.predict(batch, seed=seed) for batch in (clips, changed))
        np.testing.assert_allclose(one[0], other[0], atol=1)
    assert not np.array_equal(in_process.predict(clips, seed=0), one)


@pytest.mark.parametrize(
    ("conditioning", "options", "named"),
    [
        (np.zeros((1, 3, 16, 16, 3), np.uint8), {}, r"\[1, 3, 16, 16, 3\]"),
        (np.zeros((1, 2, 16, 16, 3), np.int32), {}, "int32"),
        (
            np.full((1, 2, 16, 16, 3), 255.0),
            {},
            r"in \[-1, 1\]; received 255 to 255: use clips / 1",
        ),
        (np.full((1, 2, 16, 16, 3), np.nan), {}, r"in \[-1, 1\]; received nan"),
        (np.zeros((0, 2, 16, 16, 3), np.uint8), {}, "at least one clip"),
        (np.zeros((1, 2, 16, 16, 3), np.uint8), {"num_frames": 0}, "num_frames.*0"),
        (np.zeros((1, 2, 16, 16, 3), np.uint8), {"truncation": -1}, "truncation.*-1"),
    ],
)
def test_bad_input_is_named(in_process, conditioning, options, named) -> None:
    with pytest.raises(InputError, match=named):
        in_process.predict(conditioning, **options)


@pytest.mark.parametrize("z", [np.zeros((2, 128)), np.zeros((3, 4)), np.full((3, 128), np.nan)])
def test_bad_latents_are_named(in_process, clips, z) -> None:
    with pytest.raises(InputError, match="z must be"):
        in_process.predict_from_z(clips, z)


class StillPredictor(Predictor):
    """Repeats the last frame; has no motion field."""

    num_conditioning_frames, num_predicted_frames, frame_size, latent_size = 2, 2, 16, 128
    has_motion = False

    def _run(self, conditioning, z, labels, with_motion):
        return np.repeat(conditioning[:, -1:], 2, axis=1), None


def test_no_motion_is_said(clips) -> None:
    still = StillPredictor()
    np.testing.assert_array_equal(still.predict(clips, num_frames=3)[:, 2], clips[:, -1])
    with pytest.raises(InputError, match="no motion field"):
        still.predict_with_motion(clips)


def test_load_predictor_names_what_is_no_model(tmp_path: Path, export_dir: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        load_predictor(tmp_path / "nowhere")
    with pytest.raises(InputError, match="neither a model directory"):
        load_predictor(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"not a model")
    with pytest.raises(InputError, match=str(tmp_path)):
        load_predictor(tmp_path)
    assert isinstance(load_predictor(export_dir), SavedModelPredictor)


def test_someone_elses_saved_model_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec([])])
    tf.saved_model.save(module, str(tmp_path))
    with pytest.raises(InputError, match="trivd export"):
        load_predictor(tmp_path)
