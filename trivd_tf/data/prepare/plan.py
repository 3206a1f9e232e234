"""Plan of a preparation: the videos of each shard, fixed before the first video is read."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trivd_tf.base.frame_size import FrameSize, from_height_width, height_width

ENCODINGS = ("raw", "jpeg")

# Even a small dataset has several shards, so that all cores have work.
_MIN_SHARDS = 16


@dataclasses.dataclass(frozen=True)
class Item:
    """One video to prepare.

    Attributes:
      id: identifier, unique in its split.
      source: file that holds the video, relative to `Plan.root` if it is inside.
      label: class, -1 if there is none.
      record: index in the source, if a source holds several videos.
      part: fraction of the video's frames to use; (0.0, 1.0) is all.
    """

    id: str
    source: str
    label: int = -1
    record: int = 0
    part: tuple[float, float] = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A skipped video, and the reason."""

    split: str
    id: str
    source: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All videos of a dataset.

    Attributes:
      name: name of the dataset, used as a prefix of file names.
      reader: name of the function that reads the sources, in `readers.READERS`.
      reader_options: options passed to the reader.
      root: folder to which sources are relative.
      splits: the videos of each split.
      class_names: names of the labels, or None.
      skipped: videos known to be missing before anything is read.
      description: a sentence for the dataset's metadata.
    """

    name: str
    reader: str
    root: str
    splits: Mapping[str, Sequence[Item]]
    reader_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    class_names: Sequence[str] | None = None
    skipped: Sequence[Skipped] = ()
    description: str = ""

    def shards(self, videos_per_shard: int) -> "Iterator[Shard]":
        """Divides each split into shards of consecutive videos."""
        for split, items in self.splits.items():
            if not items:
                continue
            count = max(-(-len(items) // videos_per_shard), min(len(items), _MIN_SHARDS))
            ends = [len(items) * (number + 1) // count for number in range(count)]
            for number, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
                yield Shard(split, number, count, tuple(items[first:end]))


@dataclasses.dataclass(frozen=True)
class Shard:
    """The unit of work, written atomically."""

    split: str
    number: int
    count: int
    items: tuple[Item, ...]

    @property
    def label(self) -> str:
        """Split, number and count, as used in file names."""
        return f"{self.split}-{self.number:05d}-of-{self.count:05d}"

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Shard":
        fields = json.loads(text)
        items = tuple(Item(**{**item, "part": tuple(item["part"])}) for item in fields["items"])
        return cls(fields["split"], fields["number"], fields["count"], items)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """Settings shared by all shards.

    Attributes:
      output: folder of the dataset.
      name: name of the dataset.
      reader, reader_options, root: as in `Plan`.
      size: size that the stored frames just cover: for a square, their smallest side, in pixels.
      encoding: "raw" or "jpeg".
      jpeg_quality: 1 to 100.
      labelled: whether examples have a label.
      fps: frame rate to which videos are resampled; None stores every coded frame.
    """

    output: str
    name: str
    reader: str
    reader_options: Mapping[str, Any]
    root: str
    size: FrameSize
    encoding: str
    jpeg_quality: int
    labelled: bool
    fps: float | None = None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        fields = json.loads(text)
        size = from_height_width(*height_width(fields["size"]))  # JSON has only lists
        return cls(**{**fields, "size": size})
