"""Report how videos are read: one line per file, and a contact sheet.

For every video: container, codec, stored size, pixel aspect, frame rate, number of frames and of
clips that a model could train on, and how its frames are converted (rotated, square pixels,
cropped, resampled, tone-mapped), or why it is skipped. Folders are searched for videos; a folder of
numbered pictures is one video. Each video is decoded to its end, so damage is found. An array file
(.npy, .npz, HDF5) has one line, with its axes, its shape and the number of its videos. The exit
status is 2 if a video is skipped.

example:
  trivd inspect holiday.mp4 clips/ --output sheet.png
  trivd inspect clips/ --size 96x160 --frames 16 --fps 10 --json clips.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from trivd_tf.base.errors import InputError
from trivd_tf.cli.commands.prepare import frame_size
from trivd_tf.cli.flags import frame_rate, positive_number


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd inspect`."""
    parser.add_argument(
        "clips",
        metavar="CLIP",
        nargs="+",
        help="video files, folders of numbered pictures, arrays (clips.npy, or clips.npy:TNHW to "
        "state the order of the axes), or folders of any",
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=frame_size,
        default=64,
        help="size of a model's frames, a side or height x width, such as 96x160 (default: 64)",
    )
    parser.add_argument(
        "--frames",
        metavar="N",
        type=positive_number,
        default=16,
        help="frames in a clip, conditioning and predicted ones (default: 16)",
    )
    parser.add_argument(
        "--stride",
        metavar="N",
        type=positive_number,
        default=1,
        help="take every N-th frame (default: 1)",
    )
    parser.add_argument(
        "--fps",
        metavar="RATE",
        type=frame_rate,
        help="resample videos to RATE frames per second first (default: every coded frame)",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="write a contact sheet of all videos: the name of a PNG"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write everything to this file; - is stdout"
    )


def run(args: argparse.Namespace) -> int:
    """Inspect video by video; a failure of one does not stop the others."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    import_tensorflow(debug=args.debug)

    from trivd_tf.base.progress import track
    from trivd_tf.data.clips import ClipSpec
    from trivd_tf.pictures.inspection import expand, inspect, mixed_rates

    if args.output and Path(args.output).suffix.lower() != ".png":
        raise InputError(f"--output {args.output}: choose the name of a PNG, such as sheet.png")
    if args.frames < 2:
        raise InputError(f"--frames {args.frames}: a clip has at least 2 frames")
    clip = ClipSpec(
        num_conditioning_frames=1,
        num_predicted_frames=args.frames - 1,
        size=args.size,
        stride=args.stride,
        fps=args.fps,
    )
    videos, found = expand(args.clips)
    _refuse_inputs([args.output, args.json], videos)
    lines = sys.stderr if args.json == "-" else sys.stdout
    for one in found:
        print(one.describe(), file=lines)
    for path in track(videos, "inspecting", unit="video"):
        found.append(inspect(path, clip))
        print(found[-1].describe(), file=lines, flush=True)
    if mixed := mixed_rates(found, clip):
        print(f"trivd: {mixed}", file=sys.stderr)
    if args.json:
        text = json.dumps([one.as_json() for one in found], indent=1) + "\n"
        if args.json == "-":
            print(text, end="")
        else:
            _write_json(Path(args.json).expanduser(), text)
    if args.output:
        from trivd_tf.pictures.inspection_sheet import inspection_sheet
        from trivd_tf.pictures.video_io import write_png

        rows = [(_short(one.describe(), one.path), one.shown) for one in found]
        print(write_png(Path(args.output).expanduser(), inspection_sheet(rows)), file=lines)
    return 2 if any(one.skipped for one in found) else 0


def _short(line: str, path: str) -> str:
    """Return the line with the file's name instead of its path."""
    return line.replace(path, os.path.basename(path.rstrip("/")) or path, 1)


def _refuse_inputs(outputs: list[str | None], videos: list[Path]) -> None:
    """Raise InputError if an output would overwrite an input file."""
    from trivd_tf.data.files.arrays import file_of

    inputs = {os.path.realpath(file_of(video)) for video in videos}
    for output in outputs:
        place = os.path.realpath(os.path.expanduser(output)) if output else ""
        if place and (place in inputs or os.path.dirname(place) in inputs):
            raise InputError(
                f"{output} is an input, or inside an input folder; choose another name"
            )


def _write_json(path: Path, text: str) -> None:
    from trivd_tf.base.storage import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text)
