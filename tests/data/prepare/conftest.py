"""Sets that several files look at."""

import pytest

from tests.data.prepare import sources
from tests.data.videos import encode, numbered_frames
from trivd_tf.data.prepare import plan, prepare


@pytest.fixture(scope="session")
def kinetics(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinetics")
    videos, annotations = sources.make_kinetics(folder)
    report = prepare(
        "kinetics600",
        videos=videos,
        annotations=annotations,
        output=str(folder / "prepared"),
        size=32,
    )
    return videos, annotations, report


@pytest.fixture(scope="session")
def numbered_set(tmp_path_factory):
    """Twelve lossless numbered videos of 20 to 31 frames as raw and as JPEG sets, 3 a shard."""
    folder = tmp_path_factory.mktemp("numbered_set")
    for video in range(12):
        encode(folder / "videos" / f"{video:02d}.mkv", numbered_frames(video, 20 + video))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "_MIN_SHARDS", 1)
        return {
            encoding: prepare(
                "folder",
                videos=str(folder / "videos"),
                output=str(folder / encoding),
                train_fraction=0.75,
                size=32,
                encoding=encoding,
                videos_per_shard=3,
            ).output
            for encoding in ("raw", "jpeg")
        }
