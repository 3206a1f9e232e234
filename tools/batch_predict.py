"""Predicts futures of large numbers of clips with Apache Beam, on all cores or on a cluster.

    python tools/batch_predict.py --model exported/mine --output futures 'videos/**/*.mp4'
    python tools/batch_predict.py --model exported/mine --output futures --format records \\
        --data_dir data/ucf101 --split test
    python tools/batch_predict.py --model gs://bucket/trivd/1 --output gs://bucket/futures \\
        'gs://bucket/videos/*.mp4' --runner=DataflowRunner --project=mine --region=europe-west4 \\
        --temp_location=gs://bucket/tmp --setup_file=./setup.py

Every input gets exactly one output: `NAME.predicted.mp4` (conditioning frames, then the future;
samples side by side), or one example of a TFRecord file (exact pixels; `trivd_tf.batch.outputs.
parse_record` reads it). Outputs are written atomically, so an interrupted job resumes with the same
command. An input that cannot be used is listed in OUTPUT/report.json and skipped; the exit status
is then 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.cli.commands.predict import non_negative_number
from trivd_tf.cli.flags import add_runner_flag, add_seed_flag, beam_flags_from, positive_number

_SHOWN = 10  # number of failures printed; the report lists all


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return the parsed flags, and those for Apache Beam."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("patterns", metavar="PATTERN", nargs="*", help="video files, quoted")
    parser.add_argument("--model", metavar="DIR", required=True, help="what `trivd export` wrote")
    parser.add_argument("--output", metavar="DIR", required=True, help="where to; may exist")
    parser.add_argument(
        "--data_dir", metavar="DIR", help="a set of `trivd prepare`, in place of PATTERNs"
    )
    parser.add_argument(
        "--split", choices=("train", "test"), default="test", help="of it (default: test)"
    )
    parser.add_argument(
        "--format",
        choices=("videos", "records"),
        default="videos",
        help="an MP4 an input, or TFRecord files (default: videos)",
    )
    parser.add_argument(
        "--num_samples",
        metavar="N",
        type=positive_number,
        default=1,
        help="futures of each input (default: 1)",
    )
    parser.add_argument(
        "--num_frames", metavar="N", type=positive_number, help="their length (default: as trained)"
    )
    parser.add_argument(
        "--truncation",
        metavar="X",
        type=non_negative_number,
        help="draw latents from within X only; 0 is z = 0 (default: no truncation)",
    )
    parser.add_argument(
        "--window",
        choices=("first", "last"),
        default="first",
        help="frames of a video to start from (default: first)",
    )
    parser.add_argument(
        "--label", metavar="CLASS", help="of all inputs (a prepared set has its own)"
    )
    parser.add_argument(
        "--group_size",
        metavar="N",
        type=positive_number,
        default=16,
        help="inputs predicted, and with records written, together (default: 16)",
    )
    add_seed_flag(parser, "each input's latents depend on it and its name alone (default: 0)", 0)
    add_runner_flag(parser)
    args, others = parser.parse_known_args(argv)
    if bool(args.patterns) == bool(args.data_dir):
        raise InputError("give either PATTERNs of video files or --data_dir, quoted and not both")
    return args, beam_flags_from(args, others)


def run(args: argparse.Namespace, beam_flags: list[str]) -> int:
    """Run the job and print a summary."""
    from trivd_tf.batch import BatchOptions, PreparedClips, VideoFiles, predict_batch
    from trivd_tf.batch.inputs import Inputs
    from trivd_tf.inference import load_predictor

    inputs: Inputs = VideoFiles(tuple(map(os.path.expanduser, args.patterns)), args.window)
    label = None
    if args.data_dir or args.label is not None:
        model = load_predictor(args.model)
        label = None if args.label is None else model.class_index(args.label)
        if args.data_dir:
            inputs = PreparedClips(
                os.path.expanduser(args.data_dir),
                args.split,
                num_predicted_frames=model.num_predicted_frames,
                use_labels=model.num_classes != 1,
            )
    options = BatchOptions(
        model=os.path.expanduser(args.model),
        num_samples=args.num_samples,
        truncation=args.truncation,
        seed=args.seed,
        num_frames=args.num_frames,
        label=label,
        format=args.format,
        group_size=args.group_size,
    )
    report = predict_batch(inputs, os.path.expanduser(args.output), options, beam_flags)
    failed = report["failed"]
    print(f"{report['predicted']} of {report['inputs']} predicted: {args.output}")
    for name, reason in list(failed.items())[:_SHOWN]:
        print(f"batch_predict: error: {name}: {reason}", file=sys.stderr)
    if len(failed) > _SHOWN:
        more = len(failed) - _SHOWN
        print(f"batch_predict: and {more} more, see {args.output}/report.json", file=sys.stderr)
    return 2 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    try:
        return run(*parse(argv))
    except (InputError, RunError) as error:
        print(f"batch_predict: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1


if __name__ == "__main__":
    sys.exit(main())
