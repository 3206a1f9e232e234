"""Prepare a data set: decode it once at the training size and store it in shards.

Running the command again resumes an interrupted preparation; a finished set is left unchanged.
OUTPUT is a TensorFlow Datasets folder that `trivd train --data_dir OUTPUT` reads;
OUTPUT/report.json lists what was read, written and skipped, with reasons.

sources:
  kinetics600   --videos FOLDER --annotations CSV...        official CSV files; videos named
                                                            <id>_<start>_<end>.mp4 in any subfolders
  ucf101        --videos UCF-101 --annotations ucfTrainTestlist
                or --tfds_dir DIR [--official_split N]
  bair          --videos softmotion30_44k [--camera NAME]   or --tfds_dir DIR [--camera NAME]
  moving_mnist  --tfds_dir DIR
  folder        --videos FOLDER [--train_fraction SHARE]    any videos
  freedom_walks [--frames N] [--rate FPS] [--seed N]        first-person walks, generated
  gymnasium     --env_id ID [--policy FILE.py:FUNCTION]     an environment that renders

example:
  trivd prepare folder --videos ~/videos --output data/mine
  trivd prepare kinetics600 --videos k600 --annotations train.csv validate.csv test.csv \\
      --output data/kinetics600 --encoding jpeg
  trivd prepare ucf101 --videos UCF-101 --annotations ucfTrainTestlist --output data/ucf101
  trivd prepare bair --videos softmotion30_44k --output data/bair
  trivd prepare moving_mnist --tfds_dir ~/tensorflow_datasets --output data/moving_mnist
  trivd prepare freedom_walks --frames 96000 --size 32 --output data/walks
  trivd prepare gymnasium --env_id CarRacing-v3 --frames 20000 --output data/cars
  trivd prepare folder --videos /shared/videos --output /shared/prepared \\
      --runner FlinkRunner --flink_master=host:8081
"""

from __future__ import annotations

import argparse

from trivd_tf.cli.flags import add_runner_flag, beam_flags_from, frame_rate, positive_number
from trivd_tf.cli.signals import Terminated

KINDS = ("kinetics600", "ucf101", "bair", "moving_mnist", "folder", "freedom_walks", "gymnasium")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd prepare`."""
    parser.add_argument("kind", metavar="SET", choices=KINDS, help=f"one of {', '.join(KINDS)}")
    parser.add_argument(
        "--output", metavar="DIR", required=True, help="folder for the prepared set"
    )
    _add_sources(parser)
    _add_storage(parser)
    add_runner_flag(parser)
    parser.set_defaults(other_flags=[])


def _add_sources(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sources, as the set needs them")
    group.add_argument("--videos", metavar="DIR", help="folder of the downloaded videos")
    group.add_argument(
        "--annotations",
        metavar="PATH",
        nargs="+",
        help="Kinetics-600: its CSV files; UCF-101: the folder ucfTrainTestlist",
    )
    group.add_argument(
        "--tfds_dir",
        metavar="DIR",
        help="data_dir of TensorFlow Datasets, in which it has prepared the set",
    )
    group.add_argument(
        "--camera", choices=("image_main", "image_aux1"), help="BAIR (default: image_main)"
    )
    group.add_argument(
        "--official_split",
        type=int,
        choices=(1, 2, 3),
        help="UCF-101 from --tfds_dir, which holds each split as a set (default: 1); from --videos "
        "all three are prepared, and the configuration chooses",
    )
    group.add_argument(
        "--train_fraction",
        metavar="SHARE",
        type=float,
        help="folder: share of the videos for training (default: 0.9)",
    )
    _add_generation(parser)


def _add_generation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("generated sets (freedom_walks, gymnasium)")
    group.add_argument(
        "--frames",
        metavar="N",
        type=positive_number,
        help="approximate total number of frames, a fifth of them for testing (default: 192000)",
    )
    group.add_argument(
        "--rate",
        metavar="FPS",
        type=float,
        help="freedom_walks: frames per second of game time, 35 over an integer (default: 17.5)",
    )
    group.add_argument("--seed", metavar="N", type=int, help="seed of all frames (default: 0)")
    group.add_argument(
        "--env_id", metavar="ID", help="gymnasium: the environment, such as CarRacing-v3"
    )
    group.add_argument(
        "--hold",
        metavar="N",
        type=positive_number,
        help="gymnasium: mean number of steps for which random actions are held (default: 4)",
    )
    group.add_argument(
        "--policy",
        metavar="FILE.py:FUNCTION",
        help="gymnasium: a function of (observation, action_space, rng) that returns an action, or "
        "MODULE:FUNCTION (default: random actions that are held)",
    )


def _add_storage(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("storage")
    group.add_argument(
        "--size",
        metavar="N|HxW",
        type=frame_size,
        default=64,
        help="size of the clips in pixels, a side or height x width, such as 96x160; the stored "
        "frames just cover it (default: 64)",
    )
    group.add_argument(
        "--fps",
        metavar="RATE",
        type=frame_rate,
        help="resample videos to RATE frames per second, by their time stamps; the clips' "
        "data.ClipSpec.fps must then be the same (default: every coded frame)",
    )
    group.add_argument(
        "--encoding",
        choices=("raw", "jpeg"),
        default="raw",
        help="raw: exact, fastest to read; jpeg: several times smaller (default: raw)",
    )
    group.add_argument(
        "--jpeg_quality", metavar="N", type=positive_number, default=95, help="1-100 (default: 95)"
    )
    group.add_argument(
        "--videos_per_shard",
        metavar="N",
        type=positive_number,
        default=64,
        help="maximum number of videos per file; an interrupted run rewrites its unfinished files "
        "(default: 64)",
    )


def frame_size(text: str) -> int | tuple[int, int]:
    """Argparse type: `64`, or `96x160` for 96 rows and 160 columns."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; give a side, or height x width, such as 64 or 96x160"
        )
    return (int(sides[0]), int(sides[-1])) if len(sides) == 2 else int(sides[0])


def take_other_flags(args: argparse.Namespace, flags: list[str]) -> bool:
    """Accept flags that only the runner knows; return False without a runner."""
    args.other_flags = flags
    return args.runner is not None


def run(args: argparse.Namespace) -> int:
    """Prepare the set, or the rest of it, and print a summary of the report."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    beam_flags = beam_flags_from(args, args.other_flags)
    import_tensorflow(debug=args.debug)

    from trivd_tf.data.prepare import prepare

    try:
        report = prepare(
            args.kind,
            output=args.output,
            videos=args.videos,
            annotations=args.annotations,
            tfds_dir=args.tfds_dir,
            camera=args.camera,
            official_split=args.official_split,
            train_fraction=args.train_fraction,
            frames=args.frames,
            rate=args.rate,
            seed=args.seed,
            env_id=args.env_id,
            hold=args.hold,
            policy=args.policy,
            size=args.size,
            fps=args.fps,
            encoding=args.encoding,
            jpeg_quality=args.jpeg_quality,
            videos_per_shard=args.videos_per_shard,
            beam_flags=beam_flags,
        )
    except (KeyboardInterrupt, Terminated) as error:
        error.args = (f"{args.output} is not finished; the same command resumes",)
        raise
    print(report.describe())
    return 0
