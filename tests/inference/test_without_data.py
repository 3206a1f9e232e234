"""A trained model is exported and predicts where its data are not."""

import shutil

import numpy as np
import pytest

from tests.beam import NEEDS_BEAM
from tests.data.prepare import sources
from tests.evaluation.conftest import save_checkpoint
from trivd_tf import config
from trivd_tf.cli import main as cli
from trivd_tf.data.prepare import prepare
from trivd_tf.inference import load_predictor
from trivd_tf.runs import record as run_record
from trivd_tf.runs.weights import evaluation_generator

pytestmark = NEEDS_BEAM

BINDINGS = """\
data.ClipSpec.num_conditioning_frames = 2
data.ClipSpec.num_predicted_frames = 1
data.ClipSpec.size = 8
models.generator.channel_multiplier = 1
models.discriminators.channel_multiplier = 1
models.discriminators.decomposition = 'downsampled'
models.discriminators.num_sampled_frames = 1
training.TrainingOptions.batch_size = 2
evaluation.EvaluationOptions.standing_batches = 1
evaluation.EvaluationOptions.standing_batch_size = 4
experiment.Experiment.class_conditional = True
"""


@pytest.fixture(scope="module")
def moved_run(tmp_path_factory):
    """A model directory of a model with classes, whose prepared data set is gone."""
    folder = tmp_path_factory.mktemp("without_data")
    videos, lists = sources.make_ucf101(folder)
    data_dir = str(folder / "prepared")
    prepare("ucf101", videos=videos, annotations=[lists], output=data_dir, size=8)
    parsed = config.parse(["ucf101_trivd_gan_fp"], BINDINGS.splitlines(), data_dir=data_dir)
    experiment = parsed.build()
    run = folder / "run"
    parsed.save(run / "config.gin")
    run_record.write(run, seed=0, class_names=experiment.labels)
    save_checkpoint(experiment, run, 4)
    evaluation_generator(experiment, run)
    shutil.rmtree(data_dir)
    return run


def test_export_and_predict_need_no_data(moved_run, tmp_path):
    exported = tmp_path / "exported"
    command = ["export", "--model_dir", str(moved_run), "--export_dir", str(exported)]
    assert cli.main([*command, "--no_archive"]) == 0
    assert (exported / "labels.txt").read_text().splitlines() == list(sources.UCF_CLASSES)
    clips = np.random.default_rng(0).integers(0, 256, (2, 2, 8, 8, 3), np.uint8)
    of_run, of_export = (
        load_predictor(where).predict(clips, truncation=0, labels=[1, 0])
        for where in (moved_run, exported)
    )
    np.testing.assert_allclose(of_run.astype(int), of_export, atol=1)


def test_a_step_without_standing_statistics_says_what_it_needs(moved_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(moved_run, run, ignore=shutil.ignore_patterns("evaluation_weights"))
    command = ["export", "--model_dir", str(run), "--export_dir", str(tmp_path / "none")]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert "step 4 has no standing statistics of 1 x 4 training clips with seed 0 yet" in error
    assert "prepared: no prepared data set" in error
    assert error.count("\n") == 1
