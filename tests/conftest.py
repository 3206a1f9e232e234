"""Fixtures and switches for the whole suite."""

import os

# Before TensorFlow or Keras is imported anywhere: Keras on TensorFlow, only real errors on stderr.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")
# As `trivd train` does, so that a run repeats to the last bit.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import gc
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import schedule
from tests.seeds import set_seeds

pytest_plugins = ["tests.tiny_model"]

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED_VIDEOS = REPOSITORY.parent / "shared" / "data" / "sample-videos"
# Few and short, so that tests which decode them stay fast: two sizes, two frame rates.
SHARED_CLIPS = ("bird.mkv", "book.mkv", "walk.mkv", "car-detection.mp4")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-long", action="store_true", help="also run the tests marked `long`")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log):
    return schedule.make_scheduler(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=schedule.position)
    # Tracing allocates millions of objects that stay; collecting garbage among them took 5 %.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    if config.getoption("--run-long"):
        return
    deselected = [item for item in items if item.get_closest_marker("long")]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not run, and the command that would run it."""
    if not terminalreporter.config.getoption("--run-long"):
        terminalreporter.write_line("not run: the tests marked `long` (make test-all)")
    if terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(
            "skipped, see above: install what each line names (bash .ci/run does, as root on "
            "Debian), then `make test`"
        )


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Every test starts from the same random state, whatever ran before it."""
    set_seeds(0)


@pytest.fixture(autouse=True)
def graphs_as_traced(pytestconfig: pytest.Config) -> None:
    """Optimizing a graph takes longer than running it a few times: left to `--run-long`."""
    if "tensorflow" in sys.modules and not pytestconfig.getoption("--run-long"):
        options = {"disable_meta_optimizer": True}
        sys.modules["tensorflow"].config.optimizer.set_experimental_options(options)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


def write_clip(path: Path, *, frames: int, height: int, width: int, rate: int, seed: int) -> None:
    """A clip of textured shapes that move over a still, textured background."""
    import av

    rng = np.random.default_rng(seed)
    background = rng.integers(40, 120, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    background = background.repeat(8, 0).repeat(8, 1)[:height, :width]
    size = height // 3
    shape = rng.integers(120, 255, (size // 8 + 1, size // 8 + 1, 3), np.uint8)
    shape = shape.repeat(8, 0).repeat(8, 1)[:size, :size]
    velocity = rng.integers(2, 5, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.bit_rate = 2_000_000
        for index in range(frames):
            frame = background.copy()
            top, left = (velocity * index) % (height - size, width - size)
            frame[top : top + size, left : left + size] = shape
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.fixture(scope="session")
def sample_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four short video files; read it only.

    Real clips where the shared sample videos lie beside the checkout, otherwise clips made here.
    """
    folder = tmp_path_factory.mktemp("sample_videos")
    if all((SHARED_VIDEOS / name).is_file() for name in SHARED_CLIPS):
        for name in SHARED_CLIPS:
            shutil.copy(SHARED_VIDEOS / name, folder / name)
        return folder
    for seed, (name, height, width) in enumerate(
        [("bird.mkv", 96, 128), ("book.mkv", 96, 128), ("walk.mkv", 96, 128), ("car.mp4", 128, 96)]
    ):
        write_clip(folder / name, frames=60, height=height, width=width, rate=25, seed=seed)
    return folder


@pytest.fixture(scope="session")
def made_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three small clips made here (60 frames, 48 x 64): the fastest to decode."""
    folder = tmp_path_factory.mktemp("made_videos")
    for seed in range(3):
        write_clip(folder / f"clip{seed}.mp4", frames=60, height=48, width=64, rate=25, seed=seed)
    return folder
