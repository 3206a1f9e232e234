"""A model of people's own videos, from the folder to the page.

Frames of 96 x 160, a class for each subfolder, and videos of two frame rates brought to one:
trained, exported, predicted with, served and shown.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_end_to_end import TINY, run
from tests.data.videos import encode, moving_frames
from trivd_tf.data.files.decode import decode_frames

pytestmark = [
    pytest.mark.long,
    # TensorFlow's SavedModel loader and the page's server leave sockets and files to the collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

HEIGHT, WIDTH, FPS, GIVEN, PREDICTED = 96, 160, 10, 2, 3
BINDINGS = [
    f"data.ClipSpec.size = ({HEIGHT}, {WIDTH})",
    f"data.ClipSpec.fps = {FPS}",
    f"data.ClipSpec.num_conditioning_frames = {GIVEN}",
    f"data.ClipSpec.num_predicted_frames = {PREDICTED}",
    "experiment.Experiment.class_conditional = True",
    "training.TrainingOptions.num_steps = 2",
]
CLASSES = ["run", "walk"]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory) -> Path:
    """Two steps on walk/*.mp4 and run/*.mp4."""
    folder = tmp_path_factory.mktemp("own_videos")
    for name, rate in (("walk", 20), ("run", 40)):
        for number in range(2):
            frames = np.roll(moving_frames(rate, 112, 176), 20 * number, axis=2)
            encode(
                folder / "videos" / name / f"{number}.mp4",
                frames,
                codec="libx264",
                pixel_format="yuv420p",
                rate=rate,
            )
    (folder / "own.gin").write_text(TINY)
    flags = [f"data.VideoFolder.cache_dir = '{folder / 'cache'}'", *BINDINGS]
    output, errors = run(
        *("train", "--model_dir", folder / "model", "--gin_file", folder / "own.gin"),
        *("--data_dir", folder / "videos"),
        *(word for binding in flags for word in ("--gin_bindings", binding)),
    )
    assert output == f"trained 2 steps: {folder / 'model'}\n"
    assert "frame rates differ" not in errors  # fps brings them to one
    return folder / "model"


@pytest.fixture(scope="module")
def own_export(model_dir) -> Path:
    directory = model_dir.parent / "export"
    run("export", "--model_dir", model_dir, "--export_dir", directory)
    return directory


@pytest.fixture(scope="module")
def predictor(own_export):
    from trivd_tf.inference.predictor import SavedModelPredictor

    return SavedModelPredictor(own_export)


def test_the_export_knows_its_shape_classes_and_rate(own_export, predictor) -> None:
    assert (own_export / "labels.txt").read_text().split() == CLASSES
    record = json.loads((own_export / "export.json").read_text())
    assert record["fps"] == FPS
    assert predictor.fps == FPS  # the SavedModel's own variable
    assert predictor.frame_shape == (HEIGHT, WIDTH)
    assert tuple(predictor.class_names) == tuple(CLASSES)


def as_classes(predictor, seed: int = 3) -> list[np.ndarray]:
    clip = moving_frames(GIVEN, HEIGHT, WIDTH)[None]
    return [predictor.predict(clip, seed=seed, labels=np.array([number])) for number in range(2)]


def test_the_class_changes_the_future(predictor) -> None:
    running, walking = as_classes(predictor)
    assert running.shape == (1, PREDICTED, HEIGHT, WIDTH, 3)
    assert (running != walking).any()


def test_a_clip_of_another_rate_gives_the_frames_at_the_models_times(own_export, tmp_path) -> None:
    """At 40 frames a second, every fourth; what lies between is noise that must not be seen."""
    shown = moving_frames(8, HEIGHT, WIDTH)
    between = np.random.default_rng(0).integers(0, 256, (32, HEIGHT, WIDTH, 3), np.uint8)
    between[::4] = shown
    encode(tmp_path / "slow.mkv", shown, rate=FPS)
    encode(tmp_path / "fast.mkv", between, rate=4 * FPS)
    encode(tmp_path / "wrong.mkv", between, rate=FPS)
    kinds = ("slow", "fast", "wrong")
    run(
        *("predict", "--model", own_export, "--label", "walk", "--output", tmp_path / "out"),
        *(tmp_path / f"{kind}.mkv" for kind in kinds),
    )
    slow, fast, wrong = (
        np.stack(list(decode_frames(tmp_path / "out" / f"{kind}_sample_1.mp4"))).astype(int)
        for kind in kinds
    )
    assert len(slow) == GIVEN + PREDICTED
    factor = slow.shape[1] // HEIGHT  # small frames are enlarged for people
    given = slow[:GIVEN, factor // 2 :: factor, factor // 2 :: factor]
    assert np.abs(given - shown[:GIVEN]).mean() < 6
    assert np.array_equal(fast, slow)
    assert np.abs(wrong - slow).mean() > 6


def test_a_class_that_the_model_does_not_know_is_refused(own_export, tmp_path) -> None:
    clip = encode(tmp_path / "clip.mkv", moving_frames(8, HEIGHT, WIDTH), rate=FPS)
    output, errors = run(
        *("predict", "--model", own_export, clip, "--label", "fly"),
        *("--output", tmp_path / "out"),
        status=2,
    )
    assert output == ""
    (line,) = [line for line in errors.splitlines() if "fly" in line]
    assert "run" in line
    assert "walk" in line
    assert not (tmp_path / "out").exists()


def test_a_server_gives_the_same_frames(own_export, predictor) -> None:
    pytest.importorskip("tensorflow_serving")
    from tests.serving.rest_stand_in import RestStandIn
    from tests.serving.serving_stand_in import ServedModel
    from trivd_tf.serving.client import ServerPredictor

    with ServedModel(own_export) as model:
        stand_in = RestStandIn(model)
        try:
            with ServerPredictor(f"http://127.0.0.1:{stand_in.port}") as served:
                assert served.frame_shape == (HEIGHT, WIDTH)
                frames = as_classes(served)
        finally:
            stand_in.close()
    np.testing.assert_allclose(frames, as_classes(predictor), atol=1)


@pytest.mark.parametrize("label", CLASSES)
def test_the_page_shows_what_the_model_predicts(own_export, predictor, label, tmp_path) -> None:
    from tests.demo import test_page
    from tests.demo.conftest import serving

    if test_page.CHROMIUM is None:
        pytest.skip("no Chromium is installed (apt install chromium)")
    clip = encode(tmp_path / "clip.mkv", moving_frames(8, HEIGHT, WIDTH), rate=FPS)
    expected = predictor.predict(
        moving_frames(GIVEN, HEIGHT, WIDTH)[None], seed=5, labels=np.array([CLASSES.index(label)])
    )
    with (
        test_page.playwright.sync_playwright() as tool,
        serving(predictor) as demo,
    ):
        browser = tool.chromium.launch(executable_path=test_page.CHROMIUM, args=test_page.FLAGS)
        with test_page.opened_page(browser, demo, test_page.DESKTOP) as page:
            assert f"{HEIGHT} × {WIDTH} pixels" in page.inner_text("#facts")
            menu = page.get_by_label("Class", exact=True)
            assert menu.locator("option").all_inner_texts() == CLASSES
            menu.select_option(label)
            page.fill("#seed", "5")
            page.locator("#num_samples").fill("1")
            page.set_input_files("#file", clip)
            test_page.done(page)
            page.click("#play")
            page.locator("#time").fill(str(GIVEN + PREDICTED - 1))
            canvas = page.locator("canvas").nth(1)  # after what really followed
            aspect = canvas.evaluate("canvas => canvas.clientWidth / canvas.clientHeight")
            assert aspect == pytest.approx(WIDTH / HEIGHT, rel=0.02)
            # The canvas is larger than a frame; drawn back at its size, it is the frame nearly.
            pixels = canvas.evaluate(
                """(canvas, [height, width]) => {
                    const small = document.createElement("canvas");
                    small.height = height, small.width = width;
                    const context = small.getContext("2d");
                    context.imageSmoothingQuality = "high";
                    context.drawImage(canvas, 0, 0, width, height);
                    return Array.from(context.getImageData(0, 0, width, height).data);
                }""",
                [HEIGHT, WIDTH],
            )
        browser.close()
    shown = np.array(pixels).reshape(HEIGHT, WIDTH, 4)[..., :3]
    differences = np.abs(expected[0].astype(int) - shown).mean(axis=(1, 2, 3))
    assert differences[-1] < 6
    assert differences.argmin() == PREDICTED - 1
