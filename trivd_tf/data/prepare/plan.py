"""What a preparation will do: which videos go into which shard, fixed before the first is read."""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trivd_tf.base.frame_size import FrameSize, from_height_width, height_width

ENCODINGS = ("raw", "jpeg")

# Even a small set is cut into some shards, so that all cores have work.
_MIN_SHARDS = 16


@dataclasses.dataclass(frozen=True)
class Item:
    """One video to prepare.

    Attributes:
      id: unique in its split.
      source: file that holds it, relative to `Plan.root` where it is inside.
      label: class, -1 where there is none.
      record: place in the source, where a source holds several videos.
      part: share of the video's frames to take, (0.0, 1.0) is all.
    """

    id: str
    source: str
    label: int = -1
    record: int = 0
    part: tuple[float, float] = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A video that was left out, and why."""

    split: str
    id: str
    source: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """All videos of a data set.

    Attributes:
      name: of the data set; begins its files' names.
      reader: name of the function that reads the sources, in `readers.READERS`.
      reader_options: handed to it.
      root: folder that sources are relative to.
      splits: the videos of each split.
      class_names: names of the labels, or None.
      skipped: what is known to be missing before anything is read.
      description: a sentence for the data set's information.
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
        """Cuts each split into shards of consecutive videos."""
        for split, items in self.splits.items():
            if not items:
                continue
            count = max(-(-len(items) // videos_per_shard), min(len(items), _MIN_SHARDS))
            ends = [len(items) * (number + 1) // count for number in range(count)]
            for number, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
                yield Shard(split, number, count, tuple(items[first:end]))


@dataclasses.dataclass(frozen=True)
class Shard:
    """The unit of work: it is written whole or not at all."""

    split: str
    number: int
    count: int
    items: tuple[Item, ...]

    @property
    def label(self) -> str:
        """Split, number and count as they stand in file names."""
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
    """What every shard's writer has to know.

    Attributes:
      output: folder of the data set.
      name: of the data set.
      reader, reader_options, root: as in `Plan`.
      size: what the stored frames just cover: for a square, their smallest side, in pixels.
      encoding: "raw" or "jpeg".
      jpeg_quality: 1 to 100.
      labelled: whether examples carry a label.
      fps: frames a second that videos are brought to; None stores every coded frame.
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
        size = from_height_width(*height_width(fields["size"]))  # JSON knows lists only
        return cls(**{**fields, "size": size})
