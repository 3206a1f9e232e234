"""The report: means and deviations by hand, the paper's figures, plots and videos."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from trivd_tf.base.errors import InputError
from trivd_tf.comparison import CellResult
from trivd_tf.comparison.plots import by_frame_figure, save_plots, scores_figure
from trivd_tf.comparison.videos import save_videos, side_by_side, side_by_side_sheet


def test_the_table_has_means_deviations_and_the_papers_figures(comparison):
    header, first, second, third, copy = comparison.table()
    assert header[-2:] == ["paper: FVD", "paper: IS"]
    assert first[:2] == ["conv_gru", "61.0 ± 1.4"]  # sqrt(2), unbiased
    assert first[-2:] == ["49.4", "11.4"]
    assert third[-2:] == ["43.7", "11.5"]
    assert dict(zip(header, second, strict=True))["PSNR dB"] == "19.25 ± 0.35"
    assert dict(zip(header, second, strict=True))["steps"] == "7"
    assert copy[:2] == ["copy of the last frame", "100.0"]
    assert {len(row) for row in comparison.table()} == {len(header)}


def test_the_order_is_compared_with_the_papers(comparison):
    assert [name.split("_")[1] for name in comparison.order()] == ["tsru", "k", "conv"]
    assert comparison.agreement() == pytest.approx(1.0)
    text = comparison.markdown()
    assert "best first: tsru_p, k_traj_gru, conv_gru" in text
    assert "rank correlation of the two: 1.00" in text
    assert "seeds 0, 1" in text


def test_one_seed_has_no_deviation_and_other_files_no_figure(comparison):
    cells = {"mine": [dataclasses.replace(comparison.cells["table2_conv_gru_small"][0])]}
    alone = dataclasses.replace(comparison, cells=cells)
    assert alone.table()[1][1] == "60.0"
    assert "paper: FVD" not in alone.table()[0]
    assert alone.agreement() is None


def test_everything_is_saved(comparison, tmp_path):
    comparison.save(tmp_path)
    stored = json.loads((tmp_path / "comparison.json").read_text())
    conv_gru = stored["configurations"]["table2_conv_gru_small"]
    assert conv_gru["scores"]["fvd"]["values"] == [60.0, 62.0]
    assert conv_gru["paper"]["fvd"]["mean"] == 49.4
    save_plots(comparison, tmp_path)
    for name in ("scores.png", "by_frame.png"):
        with Image.open(tmp_path / name) as picture:
            assert np.asarray(picture).std() > 10


def test_error_bars_are_the_deviation(comparison):
    panel = scores_figure(comparison).axes[0]
    bars = [container for container in panel.containers if container.has_xerr]
    widths = [float(np.ptp(bar.lines[2][0].get_segments()[0][:, 0])) for bar in bars]
    np.testing.assert_allclose(widths, 2 * np.array([2**0.5, 8**0.5, 0.5**0.5]))
    curve = by_frame_figure(comparison).axes[0].lines[0]
    np.testing.assert_allclose(curve.get_ydata(), [20.5, 18.0])


def test_videos_show_the_same_clips_next_to_each_other(tmp_path):
    real = np.full((2, 4, 32, 32, 3), 40, np.uint8)
    predicted = {
        "first": np.full((2, 3, 32, 32, 3), 120, np.uint8),
        "second": np.full((2, 3, 32, 32, 3), 200, np.uint8),
    }
    frames = side_by_side(real, predicted)
    assert len(frames) == 4
    shown = [{value for value in (40, 120, 200) if np.any(np.all(f == value, -1))} for f in frames]
    assert shown == [{40}, *[{40, 120, 200}] * 3]
    save_videos(real, predicted, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "side_by_side.gif",
        "side_by_side.mp4",
        "side_by_side.png",
    }


def test_videos_of_rectangles_stand_beside_each_other():
    real = np.full((2, 4, 16, 40, 3), 3, np.uint8)
    predicted = {"first": np.full((2, 3, 16, 40, 3), 5, np.uint8)}
    frames = side_by_side(real, predicted, frame_side=32)
    sheet = side_by_side_sheet(real, predicted, frame_side=32)
    # Enlarged twice to 32 x 80, two clips each: nothing is covered, nothing is cut off.
    assert (frames[-1] == 3).all(axis=-1).sum() == 2 * 32 * 80
    assert (frames[-1] == 5).all(axis=-1).sum() == 2 * 32 * 80
    assert (sheet == 3).all(axis=-1).sum() == 2 * (4 + 1) * 32 * 80
    assert (sheet == 5).all(axis=-1).sum() == 2 * 3 * 32 * 80


def test_results_are_read_back_and_damage_is_told(comparison, tmp_path):
    cell = comparison.cells["table2_conv_gru_small"][0]
    assert CellResult.load(tmp_path) is None
    cell.save(tmp_path)
    assert CellResult.load(tmp_path) == cell
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        CellResult.load(tmp_path)
