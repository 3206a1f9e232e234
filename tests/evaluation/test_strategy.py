"""Two devices score what one does: predictions, standing statistics and features."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import pathlib
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
sys.path.insert(0, sys.argv[2])
from conftest import stand_in
from trivd_tf import config
from trivd_tf.evaluation import evaluate
from trivd_tf.evaluation.evaluate import with_options
from trivd_tf.metrics import FeatureExtractor
from trivd_tf.training import make_strategy

experiment = with_options(config.load_run(sys.argv[1]), num_samples=21, seed=3)
two = make_strategy("mirrored")
assert two.num_replicas_in_sync == 2
rows = []
for name, strategy in (("one", None), ("two", two)):
    extractor = FeatureExtractor(stand_in, batch_size=4, strategy=strategy)
    report = evaluate(
        experiment, sys.argv[1], strategy=strategy, output=f"{sys.argv[3]}/{name}",
        extractor=extractor,
    )
    rows.append(report.row("model"))
    (path,) = pathlib.Path(sys.argv[1], "evaluation_weights").glob("4-*.npz")
    weights = dict(np.load(path))
    rows[-1] = (rows[-1], [weights[key] for key in sorted(weights) if key.isdigit()])
    path.unlink()  # the next estimates its own
(one, weights), (other, replicated) = rows
np.testing.assert_allclose(other.fvd, one.fvd, rtol=1e-3)
np.testing.assert_allclose(other.by_frame["ssim"], one.by_frame["ssim"], atol=1e-4)
for a, b in zip(weights, replicated, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
print("alike")
"""


@pytest.mark.long
def test_two_devices_give_the_scores_of_one(tiny_run, tmp_path):
    command = [sys.executable, "-c", SCRIPT, tiny_run, Path(__file__).parent, tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.stdout.endswith("alike\n"), done.stderr[-3000:]
