"""`predict_files`: pictures of every clip, and a bad file that stops nothing."""

from pathlib import Path

import numpy as np
import pytest

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.data.files.decode import decode_frames, probe
from trivd_tf.inference import predict_files
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.models import Generator


class FadingPredictor(Predictor):
    """Each predicted frame is the last one given, 10 grey levels darker; moves right by 1 pixel."""

    num_conditioning_frames, num_predicted_frames, frame_size, latent_size = 2, 3, 16, 4
    has_motion = True
    stride = 2

    def _run(self, conditioning, z, labels, with_motion):
        last = conditioning[:, -1:].astype(int)
        frames = np.concatenate([last - 10 * (step + 1) for step in range(3)], axis=1)
        flow = np.zeros((*frames.shape[:-1], 2), np.float32) - (0, 1)
        return np.clip(frames, 0, 255).astype(np.uint8), flow if with_motion else None


def test_one_bad_file_never_stops_the_others(sample_videos: Path, tmp_path: Path) -> None:
    bad = tmp_path / "notes.mp4"
    bad.write_text("no video")
    names = sorted(path for path in sample_videos.iterdir() if path.suffix in (".mkv", ".mp4"))
    paths = [names[0], bad, tmp_path / "missing.avi", names[1], names[0]]
    output = tmp_path / "new" / "folder"
    results = predict_files(FadingPredictor(), paths, output, num_samples=2, progress=False)
    assert [result.path for result in results] == paths
    assert [result.error is None for result in results] == [True, False, False, True, True]
    assert str(bad) in (results[1].error or "")
    assert "missing.avi" in (results[2].error or "")
    kinds = {"gif", "mp4", "sheet", "motion", "sample_1", "sample_2"}
    assert set(results[0].outputs) == kinds
    written = [path for result in results for path in result.outputs.values()]
    assert len(set(written)) == len(written) == 18
    assert sorted(output.glob("[!.]*")) == sorted(written)
    assert results[4].outputs["gif"].name == f"{names[0].stem}-2.gif"
    for result in (results[0], results[3]):
        assert len(list(decode_frames(result.outputs["gif"]))) == 5
        assert len(list(decode_frames(result.outputs["mp4"]))) == 5


def test_every_video_of_an_array_is_predicted(tmp_path: Path) -> None:
    videos = np.random.default_rng(0).integers(0, 256, (3, 9, 16, 20, 3), np.uint8)
    np.save(tmp_path / "v.npy", videos.swapaxes(0, 1))
    paths = [f"{tmp_path}/v.npy:TNHWC[2:]", f"{tmp_path}/v.npy:TNHWC[3]"]
    results = predict_files(FadingPredictor(), paths, tmp_path / "out", progress=False)
    assert [result.error is None for result in results] == [True, False]
    assert "holds 3 videos" in (results[1].error or "")
    assert results[0].outputs["gif"].name == "v_2.gif"
    prediction = results[0].prediction
    assert prediction is not None
    np.testing.assert_array_equal(prediction.conditioning, videos[2, :3:2, :, 2:18])
    np.testing.assert_array_equal(prediction.continuation, videos[2, 4:9:2, :, 2:18])


def test_what_is_predicted_is_what_is_drawn(made_videos: Path, tmp_path: Path) -> None:
    path = sorted(made_videos.glob("*.mp4"))[0]
    (result,) = predict_files(FadingPredictor(), [path], tmp_path, num_frames=4, progress=False)
    prediction = result.prediction
    assert prediction is not None
    given = np.stack(list(decode_frames(path, size=16)))[:13:2]  # stride 2
    left = (given.shape[2] - 16) // 2
    given = given[:, :, left : left + 16]
    np.testing.assert_array_equal(prediction.conditioning, given[:2])
    np.testing.assert_array_equal(prediction.continuation, given[2:6])
    darker = np.clip(given[1].astype(int) - 40, 0, 255)
    np.testing.assert_array_equal(prediction.futures[0, 3], darker)
    alone = np.stack(list(decode_frames(result.outputs["sample_1"]))).astype(float)
    assert alone.shape == (6, 256, 256, 3)
    means = [frame.mean() for frame in alone]
    np.testing.assert_allclose(means[0], given[0].mean(), atol=3)
    np.testing.assert_allclose(means[5], darker.mean(), atol=3)
    assert probe(result.outputs["mp4"]).frame_rate == pytest.approx(25 / 2)


def test_last_frames_have_nothing_to_compare_with(made_videos: Path, tmp_path: Path) -> None:
    path = sorted(made_videos.glob("*.mp4"))[0]
    options = {"window": "last", "progress": False}
    (result,) = predict_files(FadingPredictor(), [path], tmp_path, **options)
    assert result.prediction is not None
    assert result.prediction.continuation is None
    last = np.stack(list(decode_frames(path, size=16)))[-1]
    left = (last.shape[1] - 16) // 2
    np.testing.assert_array_equal(result.prediction.conditioning[-1], last[:, left : left + 16])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_samples": 0}, "num_samples"),
        ({"num_frames": 0}, "num_frames"),
        ({"truncation": -1.0}, "truncation"),
        ({"window": "middle"}, "middle"),
    ],
)
def test_wrong_options_are_one_error_not_one_a_file(tmp_path: Path, options, named) -> None:
    with pytest.raises(InputError, match=named):
        predict_files(FadingPredictor(), [tmp_path / "a.mp4"], tmp_path, **options)


def test_an_output_that_cannot_be_written_stops_all(made_videos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    paths = sorted(made_videos.glob("*.mp4"))
    with pytest.raises(RunError, match="could not be written"):
        predict_files(FadingPredictor(), paths, tmp_path / "file", progress=False)


class BatchDependent(FadingPredictor):
    """Like sums on a processor: the result depends a little on how many clips are computed."""

    def _run(self, conditioning, z, labels, with_motion):
        frames, flow = super()._run(conditioning, z, labels, with_motion)
        return (frames // 2 + len(z)).astype(np.uint8), flow


def test_the_first_of_several_futures_is_the_one_predicted_alone(made_videos, tmp_path):
    path = made_videos / "clip0.mp4"
    futures = []
    for number in (1, 3):
        (result,) = predict_files(
            BatchDependent(), [path], tmp_path / str(number), num_samples=number, progress=False
        )
        assert result.prediction is not None
        futures.append(result.prediction.futures)
    np.testing.assert_array_equal(futures[0][0], futures[1][0])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_frames": 2.5}, "num_frames must be a whole number; received 2.5"),
        ({"num_frames": "3"}, "num_frames must be a whole number; received '3'"),
        ({"seed": 1.5}, "seed must be a whole number; received 1.5"),
        ({"num_samples": 2.0}, "num_samples must be a whole number; received 2.0"),
        ({"num_samples": True}, "num_samples must be a whole number; received True"),
    ],
)
def test_what_is_no_whole_number_is_refused_in_one_line(option, message):
    clips = np.zeros([1, 2, 16, 16, 3], np.uint8)
    with pytest.raises(InputError, match=message):
        FadingPredictor().predict_samples(clips, **{"num_samples": 1, **option})


@pytest.mark.parametrize("count", [0, -1, 1.5])
@pytest.mark.parametrize("name", ["num_predicted_frames", "num_conditioning_frames", "num_classes"])
def test_a_generator_of_no_frames_is_refused(name, count):
    with pytest.raises(ValueError, match=f"{name} must be a whole number from 1 on"):
        Generator(2, "tsru_p", **{name: count})
