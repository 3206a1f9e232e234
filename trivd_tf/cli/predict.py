"""Continue your own clips.

For every clip, --output gets an animation (GIF and MP4), a sheet of its frames (PNG), the motion
field (PNG, where the model has one) and each future alone (MP4). A clip that cannot be used is
named and passed over; then the exit status is 2.

example:
  trivd predict --model runs/mine holiday.mp4 cat.gif --output futures --num_samples 3
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

from trivd_tf.cli.flags import add_seed_flag, positive_number
from trivd_tf.errors import InputError


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
        help="a model directory of `trivd train`, a SavedModel of `trivd export`, or its address",
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

    from trivd_tf.inference import load_predictor, predict_files

    results = predict_files(
        load_predictor(os.path.expanduser(args.model)),
        [os.path.expanduser(clip) for clip in args.clips],
        output,
        num_samples=args.num_samples,
        truncation=args.truncation,
        seed=args.seed,
        num_frames=args.num_frames,
        window=args.window,
    )
    for result in results:
        for path in result.outputs.values():
            print(path)
    errors = [result.error for result in results if result.error is not None]
    for error in errors:
        print(f"trivd: error: {' '.join(error.split())}", file=sys.stderr)
    if errors and len(errors) < len(results):
        done = len(results) - len(errors)
        print(f"trivd: {done} of {len(results)} clips predicted", file=sys.stderr)
    return 2 if errors else 0


def _refuse_if_none_exists(clips: list[str]) -> None:
    if not any(Path(clip).expanduser().exists() for clip in clips):
        names = ", ".join(clips[:3]) + (", ..." if len(clips) > 3 else "")
        raise InputError(f"no such file: {names}")
