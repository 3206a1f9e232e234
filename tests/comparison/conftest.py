"""Finished cells made by hand."""

import pytest

from trivd_tf.comparison import CellResult, Comparison
from trivd_tf.evaluation.reporting.report import Row

NAMES = ("table2_conv_gru_small", "table2_k_traj_gru_small", "table2_tsru_p_small")


def cell(name, seed, fvd):
    by_frame = {"psnr": [20.0 + seed, 18.0], "ssim": [0.8, 0.6 - seed / 10]}
    rows = [
        Row("model, step 7", fvd, 2.5, by_frame),
        Row("copy of the last frame", 100.0, 1.5, {"psnr": [15.0, 12.0], "ssim": [0.5, 0.25]}),
    ]
    title = name.removeprefix("table2_").removesuffix("_small")
    return CellResult(name, title, seed, "7 steps", 7, 0.5, 1_500_000, rows, {"samples": 8})


@pytest.fixture
def comparison() -> Comparison:
    """Three configurations with two seeds."""
    distances = {NAMES[0]: (60.0, 62.0), NAMES[1]: (50.0, 54.0), NAMES[2]: (40.0, 41.0)}
    cells = {
        name: [cell(name, seed, fvd) for seed, fvd in enumerate(values)]
        for name, values in distances.items()
    }
    return Comparison(cells, "7 steps")
