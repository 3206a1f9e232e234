"""Continue your own clips.

For every clip, --output gets an animation (GIF and MP4), a sheet of its frames (PNG), the motion
field (PNG, where the model has one) and the predicted frames themselves (NumPy, uint8
[samples, frames, height, width, 3]). A clip that cannot be used is named and passed over; then the
exit status is 2.

example:
  trivd predict --model runs/mine holiday.mp4 cat.gif --output futures --num_samples 3
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trivd_tf.cli.flags import add_seed_flag, positive_number
from trivd_tf.errors import InputError

if TYPE_CHECKING:
    from trivd_tf.inference.predictor import Predictor


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd predict`."""
    parser.add_argument(
        "clips",
        metavar="CLIP",
        nargs="+",
        help="video files (mp4, avi, mkv, webm, gif, ...) of any size and frame rate",
    )
    parser.add_argument(
        "--model",
        metavar="DIR",
        required=True,
        help="a model directory of `trivd train`, or a SavedModel of `trivd export`",
    )
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="where the predictions are written"
    )
    parser.add_argument(
        "--num_samples",
        metavar="N",
        type=positive_number,
        default=1,
        help="different futures of each clip (default: 1)",
    )
    parser.add_argument(
        "--num_frames",
        metavar="N",
        type=positive_number,
        help="length of a future; beyond what the model was trained for, its own frames are fed "
        "back to it (default: as trained)",
    )
    parser.add_argument(
        "--truncation",
        metavar="X",
        type=non_negative_number,
        help="draw latents from within X only: less variety, safer pictures; 0 gives the one most "
        "typical future (default: no truncation)",
    )
    parser.add_argument(
        "--window",
        choices=("first", "last"),
        default="first",
        help="start from the clip's first frames, so that what really followed is shown beside "
        "the prediction, or from its last (default: first)",
    )
    add_seed_flag(parser, "chooses the futures; the same seed gives the same (default: 0)", 0)


def non_negative_number(text: str) -> float:
    """An argparse type: a number from 0 on, `inf` included."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return number


def run(args: argparse.Namespace) -> int:
    """Predicts clip by clip; a bad one is reported and the others go on."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    output = Path(args.output).expanduser()
    if output.exists() and not output.is_dir():
        raise InputError(f"--output {args.output} is a file; give a directory")
    # Before TensorFlow takes its seconds to load: mistyped names are the most frequent mistake.
    _refuse_if_none_exists(args.clips)
    import_tensorflow(debug=args.debug)

    from trivd_tf.inference.predictor import load_predictor
    from trivd_tf.progress import track

    predictor = load_predictor(Path(args.model).expanduser())
    failed = 0
    names = _names(args.clips)
    written: list[Path] = []
    for clip, name in track(list(zip(args.clips, names, strict=True)), "predicting", unit="clip"):
        try:
            written += _predict_clip(predictor, Path(clip).expanduser(), output / name, args)
        except InputError as error:
            failed += 1
            print(f"trivd: error: {' '.join(str(error).split())}", file=sys.stderr)
    for path in written:
        print(path)
    if failed and failed < len(args.clips):
        done = len(args.clips) - failed
        print(f"trivd: {done} of {len(args.clips)} clips predicted", file=sys.stderr)
    return 2 if failed else 0


def _refuse_if_none_exists(clips: list[str]) -> None:
    if not any(Path(clip).expanduser().exists() for clip in clips):
        names = ", ".join(clips[:3]) + (", ..." if len(clips) > 3 else "")
        raise InputError(f"no such file: {names}")


def _names(clips: list[str]) -> list[str]:
    """A name for each clip's files: its stem, numbered where several clips share it."""
    taken: set[str] = set()
    names = []
    for clip in clips:
        stem = Path(clip).stem
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        names.append(name)
    return names


def _predict_clip(
    predictor: Predictor, clip_path: Path, stem: Path, args: argparse.Namespace
) -> list[Path]:
    """Predicts one clip and writes what comes of it; returns the files."""
    import numpy as np

    from trivd_tf.inference import figures, video_io

    length = args.num_frames or predictor.num_predicted_frames
    clip = video_io.read_clip(
        clip_path,
        num_conditioning_frames=predictor.num_conditioning_frames,
        size=predictor.frame_size,
        num_continuation_frames=length,
        window=args.window,
        stride=predictor.stride,
    )
    options = {
        "num_samples": args.num_samples,
        "seed": args.seed,
        "truncation": args.truncation,
        "num_frames": length,
    }
    flow = None
    if predictor.has_motion:
        futures, flow = predictor.predict_samples_with_motion(clip.conditioning[None], **options)
        flow = flow[0]
    else:
        futures = predictor.predict_samples(clip.conditioning[None], **options)
    prediction = figures.Prediction(
        conditioning=clip.conditioning,
        futures=futures[0],
        continuation=clip.continuation if len(clip.continuation) else None,
        flow=flow,
    )
    frames = figures.animation(prediction)
    paths = [
        video_io.write_gif(_beside(stem, ".gif"), frames, frame_rate=clip.frame_rate),
        video_io.write_mp4(_beside(stem, ".mp4"), frames, frame_rate=clip.frame_rate),
        video_io.write_png(_beside(stem, "_sheet.png"), figures.contact_sheet(prediction)),
    ]
    if flow is not None:
        picture = figures.motion_sheet(prediction)
        paths.append(video_io.write_png(_beside(stem, "_motion.png"), picture))
    with video_io.atomic_path(_beside(stem, "_frames.npy")) as partial, open(partial, "wb") as file:
        np.save(file, futures[0])
    return [*paths, _beside(stem, "_frames.npy")]


def _beside(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)
