"""Models with classes: labels in the signatures, in the predictors and behind a server."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.exporting.export import export_restored
from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor
from trivd_tf.models import Generator
from trivd_tf.runs.open import RestoredModel

NAMES = ("bowling", "high jump", "surfing")
Z = np.zeros((3, 128), np.float32)


@pytest.fixture(scope="module")
def labelled() -> Generator:
    """8 x 8, one frame given, one predicted, three classes that look different."""
    model = Generator(
        2, "conv_gru", 1, num_conditioning_frames=1, frame_size=8, num_classes=len(NAMES)
    )
    model.build_variables()
    rng = np.random.default_rng(7)
    for variable in model.variables:
        if variable.path.endswith("embedding/embeddings") or variable.shape == (3, 128):
            variable.assign(rng.normal(0.0, 3.0, variable.shape))
        elif variable.name == "kernel" and variable.shape[-1] == 3:
            variable.assign(rng.normal(0.0, 1.0, variable.shape))
    return model


@pytest.fixture(scope="module")
def labelled_export(labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("labelled") / "trivd" / "1"
    export_restored(RestoredModel(labelled, labels=NAMES), directory, archive=False)
    return directory


@pytest.fixture(scope="module")
def loaded(labelled_export: Path):
    return SavedModelPredictor(labelled_export)


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (3, 1, 8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def server(labelled_export):
    pytest.importorskip("tensorflow_serving")
    from tests.serving.serving_stand_in import ServedModel, StandInServer

    with ServedModel(labelled_export) as model:
        stand_in = StandInServer(model)
        yield stand_in
        stand_in.close()


def of_class(labelled: Generator, clips: np.ndarray, labels: list[int]) -> np.ndarray:
    given = tf.cast(clips, tf.float32) / 127.5 - 1.0
    return labelled(given, Z, labels=tf.constant(labels), training=False).numpy()


def test_the_class_decides(loaded, labelled, clips) -> None:
    model = loaded._model
    found = model(clips, labels=tf.constant([2, 0, 1]))["frames_float"]
    np.testing.assert_allclose(found, of_class(labelled, clips, [2, 0, 1]), atol=1e-5)
    assert np.abs(found[0] - of_class(labelled, clips, [0, 0, 1])[0]).max() > 0.05


def test_labels_may_be_left_out(loaded, labelled, clips) -> None:
    expected = of_class(labelled, clips, [0, 0, 0])
    np.testing.assert_allclose(loaded._model(clips)["frames_float"], expected, atol=1e-5)
    np.testing.assert_array_equal(
        loaded.predict(clips, truncation=0), loaded.predict(clips, truncation=0, labels=[0, 0, 0])
    )


@pytest.mark.parametrize("signature", ["sample", "predict_long"])
def test_every_sample_has_its_clips_class(loaded, labelled, clips, signature) -> None:
    run = getattr(loaded._model, signature)
    labels = tf.constant([1, 2, 0])
    found = run(clips, truncation=tf.constant(0.0), num_samples=tf.constant(2), labels=labels)
    expected = of_class(labelled, clips, [1, 2, 0]).repeat(2, axis=0)
    np.testing.assert_allclose(found["frames_float"], expected, atol=1e-5)


def test_labels_are_in_every_signature(loaded, labelled_export: Path) -> None:
    for signature in loaded._model.signatures.values():
        spec = signature.structured_input_signature[1]["labels"]
        assert (spec.dtype.name, spec.shape.as_list()) == ("int32", [None])
    assert json.loads((labelled_export / "export.json").read_text())["num_classes"] == 3
    assert (labelled_export / "labels.txt").read_text() == "bowling\nhigh jump\nsurfing\n"
    assert "`labels` int32 [B], from 0 to 2" in (labelled_export / "README.md").read_text()


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([0, 3, 1], r"labels must be from 0 to 2; received:.*\[0 3 1\]"),
        ([0, -1, 1], r"labels must be from 0 to 2; received:.*\[0 -1 1\]"),
        ([0, 1], r"labels must be int32 \[batch\].*\[2\]"),
        ([[0, 1, 2]], r"labels must be int32 \[batch\].*\[1 3\]"),
        (0, r"labels must be int32 \[batch\].*\[\]"),
    ],
)
def test_bad_labels_are_named_inside_of_the_graph(server, clips, labels, named) -> None:
    inputs = {"conditioning_frames": clips, "labels": np.asarray(labels, np.int32)}
    for signature in ("serving_default", "sample", "predict_long"):
        with pytest.raises(tf.errors.InvalidArgumentError, match=re.compile(named, re.DOTALL)):
            server.model.run(signature, inputs)
    server.model.run("serving_default", {"conditioning_frames": clips})  # left out, and alive


def test_process_export_and_server_agree(loaded, labelled, server, clips) -> None:
    from trivd_tf.serving.client import ServerPredictor

    in_process = GeneratorPredictor(labelled, class_names=NAMES)
    options = {"num_samples": 2, "seed": 5, "num_frames": 2, "labels": [2, 1, 0]}
    expected = in_process.predict_samples(clips, **options)
    np.testing.assert_allclose(loaded.predict_samples(clips, **options), expected, atol=1)
    with ServerPredictor(f"grpc://127.0.0.1:{server.port}") as remote:
        np.testing.assert_allclose(remote.predict_samples(clips, **options), expected, atol=1)
        remote.predict(clips)
        with pytest.raises(InputError, match=r"refused.*labels must be from 0 to 2"):
            remote.predict(clips, labels=3)
    assert server.model.warmed_up == 2


def test_names_of_classes(loaded) -> None:
    assert loaded.class_names == NAMES
    assert loaded.class_index("high jump") == 1
    assert loaded.class_index("2") == 2
    with pytest.raises(InputError, match=r"'hi jump' is no class.*did you mean 'high jump'"):
        loaded.class_index("hi jump")
    with pytest.raises(InputError, match=r"'xyz' is no class.*'bowling', 'high jump'"):
        loaded.class_index("xyz")


@pytest.mark.parametrize("labels", [3, -1, [0, 1], 0.5, [0, 1, 7]])
def test_bad_labels_are_named(loaded, clips, labels) -> None:
    with pytest.raises(InputError, match="labels must be"):
        loaded.predict(clips, labels=labels)


def test_a_model_without_classes_takes_none(in_process) -> None:
    frames = np.zeros((1, 2, 16, 16, 3), np.uint8)
    with pytest.raises(InputError, match="trained without classes"):
        in_process.predict(frames, labels=0)
