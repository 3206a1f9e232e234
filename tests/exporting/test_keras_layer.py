"""An export as a Keras 3 layer, as docs/serving.md shows it."""

from pathlib import Path

import keras
import numpy as np

from trivd_tf.inference.predictor import GeneratorPredictor


def test_an_export_is_a_layer_of_a_keras_model(
    export_dir: Path, in_process: GeneratorPredictor, clips: np.ndarray
) -> None:
    layer = keras.layers.TFSMLayer(export_dir, call_endpoint="serving_default")
    given = keras.Input(shape=clips.shape[1:], dtype="uint8", name="conditioning_frames")
    frames = layer(given)["frames"]
    assert frames.shape == (None, in_process.num_predicted_frames, 16, 16, 3)
    model = keras.Model(given, frames)
    predicted = model.predict(clips, verbose=0)
    expected = in_process.predict(clips, truncation=0)  # serving_default is z = 0
    assert predicted.dtype == np.uint8
    np.testing.assert_allclose(predicted.astype(int), expected, atol=1)
    assert np.mean(predicted == expected) > 0.99
