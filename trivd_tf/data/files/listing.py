"""Lists the videos in a folder: files, and folders of numbered pictures."""

import dataclasses
import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from trivd_tf.base.errors import InputError
from trivd_tf.data.files import arrays, stills


@dataclasses.dataclass(frozen=True)
class Found:
    """The videos found in a folder.

    Attributes:
      videos: files and folders of numbered pictures, sorted. They may turn out not to be decodable.
      problems: reason, by folder, why its pictures are not a video.
    """

    videos: list[Path]
    problems: dict[Path, str]


def find_videos(root: Path, *, skip: Collection[Path] = ()) -> Found:
    """Lists the videos in a folder and its subfolders.

    Names that begin with a dot are skipped. Links are followed; a target with two names is listed
    once.

    Args:
      root: the folder; it may itself hold numbered pictures.
      skip: folders that are not searched.
    """
    videos: list[Path] = []
    problems: dict[Path, str] = {}
    # Links may lead to the same target twice, in circles, or to themselves.
    seen = {os.path.realpath(path) for path in skip}

    def is_new(path: str) -> bool:
        place = os.path.realpath(path)
        if os.path.basename(path).startswith(".") or place in seen:
            return False
        seen.add(place)
        return True

    for folder, subfolders, names in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in sorted(subfolders) if is_new(os.path.join(folder, name))]
        new = [name for name in sorted(names) if is_new(os.path.join(folder, name))]
        files, pictures, problem = group(new, lambda name: stills.is_animated(Path(folder, name)))  # noqa: B023
        videos += [Path(folder, name) for name in files]
        if problem:
            problems[Path(folder)] = problem
        elif pictures:
            videos.append(Path(folder))
    return Found(sorted(videos), problems)


def group(
    names: Sequence[str], is_animated: Callable[[str], bool]
) -> tuple[list[str], list[str], str]:
    """Groups the names in one folder into video files and a series of pictures.

    Args:
      names: names of its files.
      is_animated: returns whether a file that is named like a picture is an animation. It is called
        for the first picture, and for the others only if that one is animated.

    Returns:
      The video files; the pictures that form one video; and the reason why the pictures do not form
      a video, else "".
    """
    pictures = [name for name in names if stills.is_picture(name)]
    if pictures and is_animated(pictures[0]):
        pictures = [name for name in pictures if not is_animated(name)]
    still = set(pictures)
    files = [name for name in names if name not in still]
    if not pictures:
        return files, [], ""
    if len(pictures) == 1:
        return files, [], f"{pictures[0]} is one picture, not a video"
    try:
        return files, stills.in_order(pictures), ""
    except InputError as error:
        return files, [], str(error)


def find_classes(names: Sequence[str], is_video: Callable[[str], bool]) -> tuple[str, ...]:
    """Finds the classes of videos in one subfolder per class: `walk/1.mp4`, `run/park/2.mp4`.

    Args:
      names: paths of the files, relative to the folder.
      is_video: returns whether a file is a video; called until one is found in a subfolder.

    Returns:
      Names of the subfolders that hold a video, sorted; empty if a video lies beside them.
    """
    found: set[str] = set()
    for name in names:
        folder = class_of(name)
        if folder not in found and is_video(name):
            found.add(folder)
    return () if "" in found else tuple(sorted(found))


def class_of(name: str) -> str:
    """Returns the first subfolder of a relative path; "" if it is not in a subfolder."""
    return Path(name).parts[0] if len(Path(name).parts) > 1 else ""


def signature(path: Path) -> tuple[object, ...]:
    """Returns size and modification time of a video, or of each picture in a folder.

    Raises:
      InputError: the video cannot be read.
    """
    name = arrays.parse(path)
    if name is not None:
        path = Path(name.file)
    try:
        if not path.is_dir():
            status = path.stat()
            return (status.st_size, status.st_mtime_ns)
        with os.scandir(path) as entries:
            pictures = [entry for entry in entries if stills.is_picture(entry.name)]
            states = [(entry.name, entry.stat()) for entry in pictures]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return tuple(sorted((name, state.st_size, state.st_mtime_ns) for name, state in states))


def num_bytes(path: Path) -> int:
    """Returns the size of a video, or of all its pictures, in bytes; 0 if it cannot be read."""
    try:
        if not path.is_dir():
            return path.stat().st_size
        with os.scandir(path) as entries:
            return sum(entry.stat().st_size for entry in entries if stills.is_picture(entry.name))
    except OSError:
        return 0
