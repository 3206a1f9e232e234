"""export/verify.py: sees what differs, and (long) finds that nothing does."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "verify.py"


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("verify_export", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result() -> dict[str, np.ndarray]:
    frames = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 1, 4, 4, 3)
    return {
        "frames_float": frames,
        "frames": np.round((frames + 1) * 127.5).astype(np.uint8),
        "z_is_0": -frames,
        "called": -frames,
    }


def test_equal_results_have_no_gap(verify) -> None:
    assert set(verify.compare(result(), result()).values()) == {0.0}


@pytest.mark.parametrize(
    ("key", "gap"), [("frames_float", "from z"), ("z_is_0", "z = 0"), ("called", "called")]
)
def test_differences_are_seen(verify, key, gap) -> None:
    other = result()
    other[key] = other[key] + np.float32(2e-5)
    assert verify.compare(other, result())[gap] > verify.TOLERANCE


def test_wrong_rounding_is_seen(verify) -> None:
    other = result()
    other["frames"] = np.floor((other["frames_float"] + 1) * 127.5).astype(np.uint8)
    assert verify.compare(other, result())["rounding"] == 1


def test_the_processes_cannot_import_this_package(verify, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", conditioning_frames=np.zeros(1), z=np.zeros(1))
    code = verify._PROLOGUE + "import trivd_tf\n"
    with pytest.raises(RuntimeError, match="trivd_tf"):
        verify.run_way(code, [str(tmp_path)], tmp_path)


def test_what_is_no_export(verify, tmp_path: Path, capsys) -> None:
    assert verify.main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_one_way_that_fails_is_reported(verify, tmp_path: Path, monkeypatch, capsys) -> None:
    def run_way(code, arguments, folder):
        if "hub.load" in code:
            raise RuntimeError("no hub here")
        return result()

    stated = {"step": 1, "weight_type": "float32", "num_classes": 1}
    (tmp_path / "export.json").write_text(json.dumps(stated))
    monkeypatch.setattr(verify, "run_way", run_way)
    monkeypatch.setattr(verify, "make_inputs", lambda *_: None)
    assert not verify.verify(tmp_path, None)
    assert "failed: no hub here" in capsys.readouterr().out


@pytest.mark.long
def test_an_export_loads_alike_everywhere(verify, export_dir: Path, capsys) -> None:
    pytest.importorskip("tensorflow_hub")
    assert verify.main([str(export_dir)]) == 0
    assert capsys.readouterr().out.count("  ok") == len(verify.WAYS)


CLASSES = """\
from __gin__ import dynamic_registration
from trivd_tf import data
from trivd_tf import evaluation
from trivd_tf import experiment
from trivd_tf import models
from trivd_tf import training

include "models/trivd_gan_fp.gin"
include "data/ucf101.gin"

experiment.Experiment:
    class_conditional = True
    training = @training.TrainingOptions()
    evaluation = @evaluation.EvaluationOptions()
data.ClipSpec:
    num_conditioning_frames = 2
    num_predicted_frames = 2
    size = 16
models.generator.channel_multiplier = 2
models.discriminators:
    channel_multiplier = 2
    decomposition = "downsampled"
training.TrainingOptions:
    batch_size = 2
    num_steps = 2
    ema_start_step = 1
    steps_per_loop = 1
    checkpoint_every_steps = 1
    summary_every_steps = 1
    sample_every_steps = 0
evaluation.EvaluationOptions:
    num_samples = 4
    batch_size = 4
    standing_batches = 1
    standing_batch_size = 4
"""


@pytest.fixture(scope="module")
def with_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory: two classes of videos, prepared and trained on for two updates."""
    pytest.importorskip("apache_beam")
    from tests.data.prepare.sources import make_ucf101

    folder = tmp_path_factory.mktemp("classes")
    videos, lists = make_ucf101(folder / "downloaded")
    (folder / "classes.gin").write_text(CLASSES)
    prepared, model = str(folder / "prepared"), str(folder / "model")
    for words in (
        ["prepare", "ucf101", "--videos", videos, "--annotations", lists, "--output", prepared]
        + ["--size", "16"],
        ["train", "--gin_file", str(folder / "classes.gin"), "--data_dir", prepared]
        + ["--model_dir", model],
    ):
        command = [sys.executable, "-m", "trivd_tf", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return Path(model)


@pytest.mark.long
@pytest.mark.parametrize("weight_type", ["float32", "float16", "bfloat16"])
def test_a_trained_model_with_classes_and_its_export_agree(
    verify, with_classes: Path, weight_type: str, tmp_path: Path, capsys
) -> None:
    """Of an earlier step than the newest, so that the right one is compared."""
    from trivd_tf.exporting.export import export_model

    pytest.importorskip("tensorflow_hub")
    export_dir = tmp_path / "1"
    export_model(with_classes, export_dir, weight_type=weight_type, archive=False, step=1)
    assert verify.main([str(export_dir), "--model_dir", str(with_classes)]) == 0
    printed = capsys.readouterr().out
    assert f"step 1, {weight_type} weights, 2 classes" in printed
    assert printed.count("  ok") == len(verify.WAYS) + 1
