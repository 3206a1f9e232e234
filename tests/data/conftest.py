"""Fixtures of the data tests."""

from pathlib import Path

import pytest

from tests.data.videos import encode, numbered_frames


@pytest.fixture
def cache_dir(tmp_path: Path) -> str:
    return str(tmp_path / "cache")


@pytest.fixture(scope="session")
def numbered_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lossless videos of 40, 50, 60 and 70 numbered frames, one of them in a subfolder."""
    folder = tmp_path_factory.mktemp("numbered")
    for video, name in enumerate(["a.mkv", "b.mkv", "c.mkv", "deep/er/d.mkv"]):
        encode(folder / name, numbered_frames(video, 40 + 10 * video))
    return folder
