"""Inspects a video or array file, and the processing of its frames, without a model."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import height_width, size_text
from trivd_tf.data.clips import ClipSpec, crop_offset
from trivd_tf.data.files import arrays, timing
from trivd_tf.data.files.colour import has_alpha, transfer_name
from trivd_tf.data.files.container import VideoFile
from trivd_tf.data.files.decode import decode_frames, open_video, probe, shown_shape
from trivd_tf.data.files.listing import find_videos
from trivd_tf.data.files.stills import PictureFolder

_FRAMES_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Result of `inspect` for one video, or for the videos of an array file.

    Attributes:
      path: the file or folder of pictures.
      skipped: reason why training and prediction would skip it, "" if they would not.
      container: libav's name of the format, or the kind of pictures or arrays.
      codec: libav's name of the codec; the axes and shape of an array.
      height, width: size of a stored frame.
      pixel_aspect: width of a pixel divided by its height, such as "16:9".
      rotation: rotation that makes frames upright, "" if they are.
      frame_rate: frames per second according to the header, 0.0 if not stated.
      videos: number of videos: 1, or the number in an array file.
      frames: number of frames in all videos (at the target rate, if there is one).
      windows: number of clips that start at different frames.
      done: processing steps of the frames, in order.
      shown: some frames, uint8 `[n, H, W, 3]`, evenly spaced; not part of the JSON.
    """

    path: str
    skipped: str = ""
    container: str = ""
    codec: str = ""
    height: int = 0
    width: int = 0
    pixel_aspect: str = "1:1"
    rotation: str = ""
    frame_rate: float = 0.0
    videos: int = 1
    frames: int = 0
    windows: int = 0
    done: tuple[str, ...] = ()
    shown: np.ndarray | None = dataclasses.field(default=None, compare=False, repr=False)

    def describe(self) -> str:
        """Returns a description in one line."""
        if not self.container:
            return f"{self.path}: skipped: {self.skipped}"
        rate = f"{self.frame_rate:.4g} frames/s" if self.frame_rate else "no frame rate"
        parts = [
            f"{self.container}, {self.codec}",
            f"{self.width} x {self.height}, pixels {self.pixel_aspect}",
            rate,
            f"{self.videos} videos, " * (self.videos > 1)
            + f"{self.frames} frames, {self.windows} clips",
            *self.done,
        ]
        if self.skipped:
            parts.append(f"skipped: {self.skipped}")
        return f"{self.path}: {'; '.join(parts)}"

    def as_json(self) -> dict[str, object]:
        """Returns all attributes except the frames."""
        fields = {name: value for name, value in vars(self).items() if name != "shown"}
        return {**fields, "done": list(self.done)}


def inspect(path: str | os.PathLike[str], clip: ClipSpec) -> Inspection:
    """Opens and decodes a video as in training; reports its problems instead of raising errors.

    Args:
      path: a file, a folder of numbered pictures, or the name of an array file (`arrays`).
      clip: the required clips.
    """
    try:
        if arrays.parse(path) is not None:
            return _inspect_arrays(path, clip)
        found = _header(path, clip)
    except InputError as error:
        return Inspection(os.fspath(path), skipped=_reason(path, error))
    count, shown, problem = _decode(path, clip)
    windows = clip.num_windows(count)
    if not problem and not windows:
        problem = f"too short, {count} frames where a clip takes {clip.span}"
    return dataclasses.replace(
        found,
        skipped=problem,
        frames=count,
        windows=0 if problem else windows,
        shown=_cropped(shown, clip) if shown else None,
    )


def _header(path: str | os.PathLike[str], clip: ClipSpec) -> Inspection:
    """Reads the header and the first frame, and lists the processing steps."""
    info = probe(path)
    with open_video(path) as video:
        frame, orientation = next(video.frames())
        done = [orientation.describe()]
        if isinstance(video, VideoFile):
            container = video.container.format.name.split(",")[0]
        elif isinstance(video, PictureFolder):
            container = f"{len(video.names)} numbered pictures"
        else:
            container = video.codec
        height, width = shown_shape(frame.height, frame.width, video.pixel_aspect)
        aspect = f"{video.pixel_aspect.numerator}:{video.pixel_aspect.denominator}"
        if (height, width) != (frame.height, frame.width):
            done.append(f"pixels evened out to {width} x {height}")
        if isinstance(video, VideoFile) and video.interlaced:
            done.append("deinterlaced")
        if has_alpha(frame):
            done.append("transparency over black")
        if transfer := transfer_name(frame.color_trc):
            done.append(f"{transfer} tone-mapped")
    if clip.fps is not None and not isinstance(video, PictureFolder):
        done.append(f"resampled to {clip.fps:g} frames/s")
    if orientation.transposed:
        height, width = width, height
    done.append(_fitted(height, width, clip))
    return Inspection(
        os.fspath(path),
        container=container,
        codec=info.codec,
        height=info.height,
        width=info.width,
        pixel_aspect=aspect,
        rotation=orientation.describe(),
        frame_rate=info.frame_rate,
        done=tuple(step for step in done if step),
    )


def _inspect_arrays(path: str | os.PathLike[str], clip: ClipSpec) -> Inspection:
    """As `inspect`; raises `InputError` if the file is not an array of frames.

    Data behind an array's header cannot be damaged, so only the shown frames are read. Arrays have
    no frame rate: all frames are used, regardless of `clip.fps`.
    """
    videos = arrays.find_videos(path)
    usable = [video for video in videos if clip.num_windows(video.num_frames)]
    problem, done = "", []
    if not usable:
        longest = max(video.num_frames for video in videos)
        problem = f"too short, {longest} frames where a clip takes {clip.span}"
    elif len(usable) < len(videos):
        done.append(f"too short: {len(videos) - len(usable)} of them")
    first = (usable or videos)[0]
    done.append(_fitted(first.height, first.width, clip))
    places = np.linspace(0, first.num_frames - 1, min(first.num_frames, _FRAMES_SHOWN)).round()
    shown = [first.read(slice(int(at), int(at) + 1), clip.size)[0] for at in places]
    name = arrays.file_of(path)
    return Inspection(
        os.fspath(path),
        skipped=problem,
        container=f"{name.suffix[1:]} array",
        codec=", ".join(
            f"{axes} of {' x '.join(map(str, shape))}" for axes, shape in arrays.shapes(path)
        ),
        height=first.height,
        width=first.width,
        videos=len(videos),
        frames=sum(video.num_frames for video in videos),
        windows=sum(clip.num_windows(video.num_frames) for video in usable),
        done=tuple(done),
        shown=_cropped(shown, clip) if shown else None,
    )


def _fitted(height: int, width: int, clip: ClipSpec) -> str:
    rows, columns = height_width(clip.size)
    share = min(height * columns, width * rows) / max(height * columns, width * rows)
    text = f"resized to {size_text(clip.size)}"
    return text if share > 0.999 else f"{text}, {1 - share:.0%} cropped"


def _decode(path: str | os.PathLike[str], clip: ClipSpec) -> tuple[int, list[np.ndarray], str]:
    """Returns the number of frames, a few evenly spaced frames, and an error message."""
    kept: list[np.ndarray] = []
    step, count = 1, 0
    try:
        for frame in decode_frames(path, size=clip.size, fps=clip.fps):
            if count % step == 0:
                kept.append(frame)
            count += 1
            if len(kept) == 2 * _FRAMES_SHOWN:  # double the spacing from here on
                kept, step = kept[::2], 2 * step
    except InputError as error:
        return count, kept, _reason(path, error)
    places = np.linspace(0, len(kept) - 1, min(len(kept), _FRAMES_SHOWN)).round().astype(int)
    return count, [kept[place] for place in places], ""


def _cropped(frames: list[np.ndarray], clip: ClipSpec) -> np.ndarray:
    """Returns the center crop used in evaluation."""
    rows, columns = height_width(clip.size)
    top = crop_offset(frames[0].shape[0] - rows, None)
    left = crop_offset(frames[0].shape[1] - columns, None)
    return np.stack([frame[top : top + rows, left : left + columns] for frame in frames])


def _reason(path: str | os.PathLike[str], error: InputError) -> str:
    return " ".join(str(error).removeprefix(f"{path}: ").split())


def mixed_rates(found: list[Inspection], clip: ClipSpec) -> str:
    """Returns a line on differing frame rates that are not resampled, else ""."""
    rates = timing.describe_rates(one.frame_rate for one in found if not one.skipped)
    if not rates or clip.fps is not None:
        return ""
    return (
        f"the frame rates differ ({rates}): movement has different speeds to a model; --fps RATE "
        "(data.ClipSpec.fps) brings all to one"
    )


def expand(paths: list[str]) -> tuple[list[Path], list[Inspection]]:
    """Resolves paths to videos; folders of videos are searched.

    Returns:
      The videos, and the folders of pictures that are not a video, with the reason.
    """
    videos: list[Path] = []
    problems: list[Inspection] = []
    for name in paths:
        path = Path(name).expanduser()
        if not path.is_dir():
            videos.append(path)
            continue
        found = find_videos(path)
        videos += found.videos
        problems += [
            Inspection(str(folder), skipped=reason) for folder, reason in found.problems.items()
        ]
        if not found.videos and not found.problems:
            problems.append(Inspection(str(path), skipped="the folder is empty"))
    return videos, problems
