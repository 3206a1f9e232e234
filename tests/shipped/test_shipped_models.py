"""The models that come with the package: whole, found by name, and better than copying."""

import hashlib
import json

import numpy as np
import pytest

from trivd_tf.base import shipped
from trivd_tf.base.errors import InputError
from trivd_tf.inference import load_predictor
from trivd_tf.metrics import psnr

NAMES = shipped.shipped_models()
LARGEST = 25e6


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_the_one_that_was_made(name):
    folder = shipped.find_model(name)
    listed = dict(
        reversed(line.split("  ", 1)) for line in (folder / "SHA256SUMS").read_text().splitlines()
    )
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del files["SHA256SUMS"]
    assert set(files) == set(listed)
    for relative, path in files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[relative], relative
    assert sum(path.stat().st_size for path in files.values()) <= LARGEST


@pytest.mark.parametrize("name", NAMES)
def test_the_card_says_how_good_and_what_it_learned_from(name):
    folder = shipped.find_model(name)
    card = (folder / "README.md").read_text()
    record = json.loads((folder / "export.json").read_text())
    assert record["weight_type"] == "float16"
    for needed in ("copy of the last frame", "What it learned from", "tools/pretrain.py", "BSD"):
        assert needed in card
    assert "data_dir = '/" not in (folder / "config.gin").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_it_predicts_held_out_clips_better_than_their_last_frame_does(name):
    with np.load(shipped.find_model(name) / shipped.HELD_OUT_CLIPS) as stored:
        clips = stored["clips"]
    predictor = load_predictor(name)
    given = predictor.num_conditioning_frames
    assert clips.shape == (8, 16, predictor.frame_size, predictor.frame_size, 3)
    predicted = predictor.predict(clips[:, :given], truncation=0.0)
    assert predicted.shape == clips[:, given:].shape
    real = clips[:, given:]
    copied = np.repeat(clips[:, given - 1 : given], real.shape[1], axis=1)
    # As in the tables of scores: identical frames count as 100 dB.
    scores = [psnr(real, frames, ceiling=100.0).mean() for frames in (predicted, copied)]
    assert scores[0] > scores[1]


def test_a_folder_wins_over_a_name(tmp_path, monkeypatch):
    (tmp_path / "models" / "tiny").mkdir(parents=True)
    (tmp_path / "models" / "tiny" / "saved_model.pb").touch()
    (tmp_path / "models" / "half").mkdir()
    monkeypatch.setattr(shipped, "shipped_directory", lambda: tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert shipped.shipped_models() == ["tiny"]
    assert shipped.find_model("tiny") == tmp_path / "models" / "tiny"
    (tmp_path / "tiny").mkdir()
    assert str(shipped.find_model("tiny")) == "tiny"
    with pytest.raises(InputError, match="one of those that come with trivd_tf: tiny"):
        load_predictor("small")
