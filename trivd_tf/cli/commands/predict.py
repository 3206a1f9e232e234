"""Predict the continuation of your own clips.

For every clip, the command writes to --output an animation (GIF and MP4), a sheet of frames (PNG),
the motion field (PNG, if the model has one) and each future as a separate MP4. Clips that cannot be
used are reported and skipped; the exit status is then 2. The command replaces only files that it
wrote earlier and that have not been edited since.

example:
  trivd predict --model small holiday.mp4 --output futures
  trivd predict --model runs/mine holiday.mp4 cat.gif --output futures --num_samples 3
  trivd predict --server grpc://localhost:8500 holiday.mp4 --output futures
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trivd_tf.base.errors import InputError
from trivd_tf.cli.flags import (
    add_seed_flag,
    add_standing_flags,
    add_step_flag,
    frame_rate,
    local_output,
    natural_number,
    positive_number,
)

if TYPE_CHECKING:
    from trivd_tf.inference import Predictor


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd predict`."""
    parser.add_argument(
        "clips",
        metavar="CLIP",
        nargs="+",
        help="video files (mp4, avi, mkv, webm, gif, ...) of any size and frame rate; folders of "
        "numbered pictures; .npy, .npz and HDF5 arrays: clips.npy for all of its videos, "
        "'clips.npy[3]' for its fourth, 'clips.npy:TNHW' to state the order of its axes",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--model",
        metavar="DIR",
        help="a model directory of `trivd train`, a SavedModel of `trivd export`, its address, or "
        "the name of a model that comes with the package (small, walks, digits)",
    )
    where.add_argument(
        "--server",
        metavar="ADDRESS",
        help="grpc://HOST:PORT or http://HOST:PORT of a TensorFlow Serving that serves an export; "
        "/NAME may follow, the model's name there (default: trivd)",
    )
    add_step_flag(parser, "of a model directory: predict with")
    add_standing_flags(parser)
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="directory of the predictions"
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
        help="truncate latents to [-X, X]: less diversity, higher fidelity; 0 gives the one most "
        "typical future (default: no truncation)",
    )
    parser.add_argument(
        "--window",
        choices=("first", "last"),
        default="first",
        help="start from the clip's first frames, so that what really followed is shown beside "
        "the prediction, or from its last (default: first)",
    )
    parser.add_argument(
        "--label",
        metavar="CLASS",
        help="class of the clips, a name or a number from 0 on, for a model trained with classes "
        "(default: class 0)",
    )
    add_seed_flag(parser, "chooses the futures; the same seed gives the same (default: 0)", 0)
    _add_server_flags(parser)


def _add_server_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("with --server")
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive_seconds,
        help="how long to wait for one answer, of up to 16 futures (default: 60)",
    )
    group.add_argument(
        "--retries",
        metavar="N",
        type=natural_number,
        help="how often to try again while the server is away or overloaded (default: 3)",
    )
    group.add_argument(
        "--max_message_mb",
        metavar="N",
        type=positive_number,
        help="largest gRPC message to send or receive (default: 256)",
    )
    group.add_argument(
        "--stride",
        metavar="N",
        type=positive_number,
        help="use every N-th frame of a clip, as in training (`stride` in export.json); the server "
        "does not report it (default: 1)",
    )
    group.add_argument(
        "--fps",
        metavar="RATE",
        type=frame_rate,
        help="resample a clip to RATE frames per second first, as in training (`fps` in "
        "export.json); the server does not report it (default: every coded frame)",
    )


def positive_seconds(text: str) -> float:
    """Argparse type: a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds above 0")
    return number


def non_negative_number(text: str) -> float:
    """Argparse type: a number from 0 on, including `inf`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number >= 0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return number


def run(args: argparse.Namespace) -> int:
    """Predict clip by clip; an invalid clip is reported and the others continue."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    # Before TensorFlow loads, which takes seconds: mistyped names are the most common error.
    _refuse_if_none_exists(args.clips)
    output = local_output("--output", args.output)
    options = _server_options(args)
    import_tensorflow(debug=args.debug)

    from trivd_tf.inference import predict_files

    predictor = _predictor(args, options)
    results = predict_files(
        predictor,
        [os.path.expanduser(clip) for clip in args.clips],
        output,
        num_samples=args.num_samples,
        truncation=args.truncation,
        seed=args.seed,
        num_frames=args.num_frames,
        window=args.window,
        label=None if args.label is None else predictor.class_index(args.label),
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


def _server_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the flags set for `--server`, as arguments of `ServerPredictor`."""
    given = {
        "timeout": args.timeout,
        "retries": args.retries,
        "max_message_bytes": args.max_message_mb and args.max_message_mb * 2**20,
        "stride": args.stride,
        "fps": args.fps,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if given and args.server is None:
        name = next(iter(given)).replace("message_bytes", "message_mb")
        raise InputError(f"--{name} needs --server; it does not apply to --model")
    if given.get("max_message_bytes", 0) >= 2**31:
        raise InputError(f"--max_message_mb {args.max_message_mb} is too much; give at most 2047")
    return given


def _predictor(args: argparse.Namespace, options: dict[str, Any]) -> Predictor:
    if args.server is None:
        from trivd_tf.inference import load_predictor

        return load_predictor(
            os.path.expanduser(args.model),
            args.step,
            standing_batches=args.standing_batches,
            standing_batch_size=args.standing_batch_size,
        )
    if args.step is not None:
        raise InputError(f"--step {args.step}: a server has one step only; leave it out")
    if args.standing_batches or args.standing_batch_size:
        raise InputError("--standing_batches, --standing_batch_size: not with --server")
    from trivd_tf.serving.client import ServerPredictor

    return ServerPredictor(args.server, **options)


def _refuse_if_none_exists(clips: list[str]) -> None:
    # clips.npy:TNHW[3] is a video of clips.npy; see data/files/arrays.py.
    files = [
        re.sub(r"(\.(npy|npz|h5|hdf5))(:[A-Z]+)?(\[[\d:]+\])?$", r"\1", clip) for clip in clips
    ]
    if not any(Path(name).expanduser().exists() for name in [*clips, *files]):
        names = ", ".join(clips[:3]) + (", ..." if len(clips) > 3 else "")
        raise InputError(f"no such file: {names}")
