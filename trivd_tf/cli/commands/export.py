"""Write a trained model as a TensorFlow SavedModel.

It holds the averaged weights and the standing statistics, and runs without this package: in Python
(`tensorflow_hub.load`), in TensorFlow Serving, with `saved_model_cli`. The directory also contains
a model card, the labels, the configuration and warm-up requests for a server; EXPORT_DIR.tar.gz is
an archive of it.

example:
  trivd export --model_dir runs/mine --export_dir exported/mine
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from trivd_tf.base.outputs import check_writable
from trivd_tf.cli.flags import (
    add_model_dir_flag,
    add_standing_flags,
    add_step_flag,
    existing_model_dir,
    local_path,
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd export`."""
    add_model_dir_flag(parser, "what `trivd train` wrote")
    parser.add_argument(
        "--export_dir",
        metavar="DIR",
        required=True,
        help="directory of the SavedModel; an existing export is replaced, unless files were added "
        "to it or edited",
    )
    add_step_flag(parser, "export")
    add_standing_flags(parser)
    parser.add_argument(
        "--weight_type",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="type of the stored weights; 16 bits halve the size, and the effect on predictions is "
        "measured and recorded in export.json (default: float32)",
    )
    parser.add_argument(
        "--no_archive",
        dest="archive",
        action="store_false",
        help="leave out EXPORT_DIR.tar.gz, which TensorFlow Hub expects",
    )


def run(args: argparse.Namespace) -> int:
    """Export the weights of a checkpoint."""
    from trivd_tf.cli.tensorflow_log import held_back_stderr, import_tensorflow

    model_dir = existing_model_dir(args.model_dir)
    check_writable(local_path("--export_dir", args.export_dir).absolute().parent)
    import_tensorflow(debug=args.debug)

    from trivd_tf.exporting import export_model

    # On a processor without float16 arithmetic, TensorFlow prints that it works around it.
    quiet = held_back_stderr() if args.weight_type == "float16" else contextlib.nullcontext()
    with quiet:
        result = export_model(
            model_dir,
            Path(args.export_dir).expanduser(),
            weight_type=args.weight_type,
            archive=args.archive,
            step=args.step,
            standing_batches=args.standing_batches,
            standing_batch_size=args.standing_batch_size,
        )
    print(result.directory)
    if result.archive is not None:
        print(result.archive)
    return 0
