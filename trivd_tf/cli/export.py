"""Write a trained model as a TensorFlow SavedModel.

It holds the averaged weights and the standing statistics, and runs without this package: in Python
(`tensorflow_hub.load`), in TensorFlow Serving, with `saved_model_cli`.

example:
  trivd export --model_dir runs/mine --export_dir exported/mine
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trivd_tf.cli.flags import add_model_dir_flag, existing_model_dir


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd export`."""
    add_model_dir_flag(parser, "what `trivd train` wrote")
    parser.add_argument(
        "--export_dir", metavar="DIR", required=True, help="where the SavedModel is written"
    )


def run(args: argparse.Namespace) -> int:
    """Exports the newest weights."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    model_dir = existing_model_dir(args.model_dir)
    import_tensorflow(debug=args.debug)

    from trivd_tf.inference.export import export_model

    print(export_model(model_dir, Path(args.export_dir).expanduser()))
    return 0
