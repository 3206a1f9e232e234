"""The exported model: signatures, weights, refusals, what lies beside it, and how it is written."""

import json
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.exporting import export, saved_model, warm_up
from trivd_tf.exporting.destination import list_files
from trivd_tf.exporting.exported_graph import ExportedGraph
from trivd_tf.exporting.graph_checks import LARGEST_ANSWER
from trivd_tf.inference.latents import latents

SIGNATURES = {
    "serving_default",
    "sample",
    "sample_from_z",
    "predict_long",
    "predict_with_motion",
    "predict_with_motion_from_z",
}


@pytest.fixture(scope="module")
def loaded(exported):
    """What `tf.saved_model.load` gives."""
    return exported._model


@pytest.fixture(scope="module")
def session(served_model):
    """`run(signature, inputs)` through a TF1 session, shapes unchecked, as TensorFlow Serving."""
    return served_model.run


def sample(loaded, clips: np.ndarray, seed=1, truncation=np.inf, num_samples=1) -> dict:
    return loaded.signatures["sample"](
        conditioning_frames=tf.constant(clips),
        seed=tf.constant(seed, tf.int64),
        truncation=tf.constant(truncation, tf.float32),
        num_samples=tf.constant(num_samples),
    )


def test_signatures_and_their_shapes(loaded) -> None:
    assert set(loaded.signatures) == SIGNATURES
    inputs = loaded.signatures["sample"].structured_input_signature[1]
    assert {name: (spec.dtype.name, spec.shape.as_list()) for name, spec in inputs.items()} == {
        "conditioning_frames": ("uint8", [None, 2, 16, 16, 3]),
        "seed": ("int64", []),
        "truncation": ("float32", []),
        "num_samples": ("int32", []),
    }


def test_reusable_saved_model(loaded, generator, clips) -> None:
    assert len(loaded.trainable_variables) == len(generator.trainable_variables)
    assert loaded.regularization_losses == []
    shapes = sorted(tuple(variable.shape) for variable in loaded.variables)
    assert shapes == sorted(tuple(variable.shape) for variable in generator.variables)
    np.testing.assert_array_equal(
        loaded(clips)["frames"],
        loaded.signatures["serving_default"](conditioning_frames=clips)["frames"],
    )


def test_serving_default_is_z_0_with_standing_statistics(loaded, generator, clips) -> None:
    frames = generator(tf.cast(clips, tf.float32) / 127.5 - 1.0, tf.zeros([3, 128]), training=False)
    outputs = loaded.signatures["serving_default"](conditioning_frames=clips)
    np.testing.assert_allclose(outputs["frames_float"], frames, atol=1e-5)
    rounded = np.round((outputs["frames_float"].numpy() + 1) * 127.5)
    np.testing.assert_array_equal(outputs["frames"], rounded)
    # With batch moments the answer would depend on the batch.
    alone = loaded.signatures["serving_default"](conditioning_frames=clips[:1])
    np.testing.assert_allclose(alone["frames_float"], outputs["frames_float"][:1], atol=1e-5)


def test_sample_draws_the_documented_latents(loaded, clips) -> None:
    z = latents(7, num_clips=3, num_samples=2, latent_size=128, truncation=0.8)
    expected = loaded.signatures["sample_from_z"](
        conditioning_frames=np.repeat(clips, 2, axis=0), z=z.reshape(6, 128)
    )["frames_float"]
    found = sample(loaded, clips, seed=7, truncation=0.8, num_samples=2)["frames_float"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(
        found, sample(loaded, clips, seed=7, truncation=0.8, num_samples=2)["frames_float"]
    )
    other = sample(loaded, clips, seed=8, truncation=0.8, num_samples=2)["frames_float"]
    assert np.abs(other - found).max() > 0.01


def test_truncation_0_is_z_0(loaded, clips) -> None:
    np.testing.assert_allclose(
        sample(loaded, clips, truncation=0.0)["frames_float"],
        loaded(clips)["frames_float"],
        atol=1e-6,
    )


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_predict_long_is_what_the_predictor_does(loaded, in_process, clips, num_frames) -> None:
    outputs = loaded.signatures["predict_long"](
        conditioning_frames=clips,
        seed=tf.constant(4, tf.int64),
        truncation=tf.constant(1.0),
        num_samples=tf.constant(2),
        num_frames=tf.constant(num_frames),
    )
    expected = in_process.predict_samples(
        clips, num_samples=2, seed=4, truncation=1.0, num_frames=num_frames
    )
    assert outputs["frames_float"].shape == (6, num_frames, 16, 16, 3)
    np.testing.assert_allclose(outputs["frames"].numpy().reshape(expected.shape), expected, atol=1)


def test_motion_has_full_size_and_stages(loaded, generator, clips) -> None:
    outputs = loaded.signatures["predict_with_motion"](conditioning_frames=clips)
    _, flow = generator.predict_with_motion(
        tf.cast(clips, tf.float32) / 127.5 - 1.0, tf.zeros([3, 128])
    )
    np.testing.assert_allclose(outputs["flow"], flow, atol=1e-5)
    shapes = {key: value.shape.as_list() for key, value in outputs.items() if "flow" in key}
    assert shapes == {
        "flow": [3, 2, 16, 16, 2],
        "flow_stage_1": [3, 2, 2, 2, 2],
        "flow_stage_2": [3, 2, 4, 4, 2],
        "flow_stage_3": [3, 2, 8, 8, 2],
    }


def test_session_fills_in_defaults(session, loaded, clips) -> None:
    found = session("sample", {"conditioning_frames": clips})
    np.testing.assert_allclose(
        found["frames_float"], sample(loaded, clips, seed=0)["frames_float"], atol=1e-5
    )


Z = np.zeros((3, 128), np.float32)


def frames(*shape: int) -> dict[str, np.ndarray]:
    return {"conditioning_frames": np.zeros(shape, np.uint8)}


@pytest.mark.parametrize(
    ("signature", "changes", "named"),
    [
        (
            "serving_default",
            frames(3, 1, 16, 16, 3),
            r"conditioning_frames must be uint8 \[batch, 2, 16, 16, 3\].*\[3 1 16 16 3\]",
        ),
        ("serving_default", frames(2, 16, 16, 3), "conditioning_frames"),
        ("serving_default", frames(1, 2, 16, 16, 4), "conditioning_frames"),
        ("serving_default", frames(1, 3, 2, 16, 16, 3), "conditioning_frames"),
        ("serving_default", frames(0, 2, 16, 16, 3), "at least one clip"),
        ("serving_default", frames(), "conditioning_frames"),
        ("sample_from_z", {"z": Z[:2]}, r"z must be.*\[2 128\]"),
        ("sample_from_z", {"z": Z[:, :5]}, "z must be"),
        ("sample_from_z", {"z": Z[0]}, "z must be"),
        ("sample_from_z", {"z": Z * np.nan}, "z must be finite"),
        ("sample", {"truncation": np.float32(-0.1)}, "truncation must be.*-0.1"),
        ("sample", {"truncation": np.float32(np.nan)}, "truncation"),
        ("sample", {"truncation": np.zeros(2, np.float32)}, r"truncation.*\[2\]"),
        ("sample", {"seed": np.zeros(1, np.int64)}, r"seed.*\[1\]"),
        ("sample", {"num_samples": np.int32(0)}, "num_samples must be at least 1.*0"),
        ("sample", {"num_samples": np.int32(2**31 - 1)}, f"more than {LARGEST_ANSWER}"),
        ("predict_long", {"num_frames": np.int32(-1)}, "num_frames must be at least 1"),
        ("predict_long", {"num_frames": np.int32(2**31 - 1)}, f"more than {LARGEST_ANSWER}"),
        ("predict_long", {"num_frames": np.zeros(2, np.int32)}, r"num_frames.*\[2\]"),
    ],
)
def test_bad_values_are_named_inside_of_the_graph(session, clips, signature, changes, named):
    inputs = {"conditioning_frames": clips, **({"z": Z} if signature == "sample_from_z" else {})}
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.compile(named, re.DOTALL)):
        session(signature, {**inputs, **changes})
    session("serving_default", {"conditioning_frames": clips})  # still alive


def test_wrong_types_are_refused(session, clips) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="uint8"):
        session("serving_default", {"conditioning_frames": clips.astype(np.float32)})


def test_tensors_of_wrong_types_are_refused_where_it_is_loaded(loaded, clips) -> None:
    for wrong in (tf.constant(clips, tf.float32), tf.constant(clips, tf.int32)):
        with pytest.raises(TypeError, match="uint8, name='conditioning_frames'"):
            loaded(wrong)
        with pytest.raises(TypeError, match="uint8, name='conditioning_frames'"):
            loaded.sample(wrong, seed=1)


@pytest.mark.parametrize("weight_type", ["float16", "bfloat16"])
def test_half_weights(generator, clips, weight_type) -> None:
    graph = ExportedGraph(generator, weight_type=weight_type)
    stored = {variable.dtype.name for variable in graph.weights if variable.shape.rank >= 2}
    assert stored == {weight_type, "float32"}  # float32: standing statistics [T, C]
    for weight, original in zip(graph.weights, generator.variables, strict=True):
        if weight.dtype == tf.float32:
            np.testing.assert_array_equal(weight, original)
        else:
            np.testing.assert_allclose(tf.cast(weight, tf.float32), original, rtol=2**-8, atol=1e-6)
    # The generator itself is untouched.
    assert all(variable.dtype == "float32" for variable in generator.variables)


def test_half_weights_difference_is_measured_and_told(
    restored, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(saved_model, "save", lambda graph, directory: None)
    result = export.export_restored(restored, tmp_path / "a", weight_type="float16", archive=False)
    difference = result.metadata["difference_from_float32"]
    assert 0 < difference["mean_in_minus1_to_1"] < difference["largest_in_minus1_to_1"] < 0.2
    card = (tmp_path / "a" / "README.md").read_text()
    assert f"{difference['largest_in_minus1_to_1']:.2g}" in card
    assert "12.3" not in card  # the scores are those of other weights
    assert "kernels are stored as float16" in card


@pytest.mark.long
@pytest.mark.parametrize("weight_type", ["float16", "bfloat16"])
def test_half_weights_load_everywhere(restored, tmp_path: Path, clips, weight_type) -> None:
    from tests.serving.serving_stand_in import ServedModel

    export.export_restored(restored, tmp_path / "1", weight_type=weight_type, archive=False)
    loaded = tf.saved_model.load(str(tmp_path / "1"))(clips)["frames_float"]
    with ServedModel(tmp_path / "1") as served:
        session = served.run("serving_default", {"conditioning_frames": clips})["frames_float"]
    np.testing.assert_allclose(session, loaded, atol=1e-5)
    exact = ExportedGraph(restored.generator).plain(clips, tf.zeros([3, 128]))["frames_float"]
    assert 0 < np.abs(loaded - exact).max() < 0.2


def test_what_lies_beside_the_model(export_dir: Path, restored) -> None:
    metadata = json.loads((export_dir / "export.json").read_text())
    assert metadata["frame_size"] == 16
    assert set(metadata["signatures"]) == SIGNATURES
    assert (export_dir / "labels.txt").read_text() == "dummy\n"
    assert (export_dir / "config.gin").read_text() == "# tiny\n"
    card = (export_dir / "README.md").read_text()
    for text in (
        "Tiny",
        "noise; 4 samples",
        "| a copy | 9.8 |  |",
        "Kinetics",
        "isuse",
        "abc (with changes)",
        "averaged weights of step 12 (checkpoint 0123abcd), standing statistics of 3 x 4 training "
        "clips of noise (noise-train-77), seed 5",
    ):
        assert text in card
    assert restored.weights.to_json() == metadata["weights"]
    assert metadata["parameters"] > 0


def test_archive_has_the_model_at_its_top(export_dir: Path, tmp_path: Path) -> None:
    archive = export_dir.with_name("1.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        tar.extractall(tmp_path, filter="data")
    assert {"saved_model.pb", "variables/variables.index", "README.md"} <= set(names)
    for name in names:
        if (export_dir / name).is_file():
            assert (tmp_path / name).read_bytes() == (export_dir / name).read_bytes()
    again = tmp_path / "again.tar.gz"
    export.write_archive(export_dir, again)
    assert again.read_bytes() == archive.read_bytes()


def test_warm_up_requests_are_what_the_server_reads(export_dir: Path, session) -> None:
    prediction_log_pb2 = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    records = tf.data.TFRecordDataset(str(export_dir / warm_up.FILE)).as_numpy_iterator()
    asked = []
    for record in records:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        # With batching on, the server refuses whatever has no batch axis.
        assert all(value.ndim and len(value) == 1 for value in inputs.values())
        session(request.model_spec.signature_name, inputs)
        asked.append(request.model_spec.signature_name)
    assert sorted(asked) == sorted(SIGNATURES - {"sample", "predict_long"})


def test_only_an_export_is_replaced(restored, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    with pytest.raises(InputError, match=r"photos.*something else"):
        export.export_restored(restored, tmp_path / "photos")
    with pytest.raises(InputError, match=r"cat\.jpg.*is a file"):
        export.export_restored(restored, tmp_path / "photos" / "cat.jpg")
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_failed_export_leaves_the_old_one(restored, tmp_path: Path, monkeypatch) -> None:
    old = tmp_path / "model"
    old.mkdir()
    (old / "saved_model.pb").write_bytes(b"old")
    listed = {"signatures": [], "files": list_files(old)}
    (old / "export.json").write_text(json.dumps(listed))

    def fill_the_disk(graph, directory) -> None:
        (Path(directory) / "saved_model.pb").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saved_model, "save", fill_the_disk)
    with pytest.raises(RunError, match=r"model: could not be written.*No space left"):
        export.export_restored(restored, old)
    assert (old / "saved_model.pb").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    monkeypatch.setattr(
        saved_model, "save", lambda graph, path: (Path(path) / "saved_model.pb").write_bytes(b"new")
    )
    export.export_restored(restored, old, archive=False)
    assert (old / "saved_model.pb").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_unknown_weight_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="int8"):
        export.export_model(tmp_path, tmp_path / "out", weight_type="int8")
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        export.export_model(tmp_path, tmp_path / "out")
