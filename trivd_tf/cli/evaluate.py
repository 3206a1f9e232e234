"""Score a trained model, next to simple baselines.

Prints a table (FVD, PSNR, SSIM) of the model, of copying the last frame, and of real against real
at the same number of samples, and writes it to MODEL_DIR/evaluations/.

example:
  trivd evaluate --model_dir runs/mine
  trivd evaluate --model_dir runs/mine \\
      --gin_bindings 'evaluation.EvaluationOptions.num_samples = 512'
"""

from __future__ import annotations

import argparse

from trivd_tf.cli.flags import (
    add_config_flags,
    add_model_dir_flag,
    existing_model_dir,
    load_config,
    natural_number,
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd evaluate`."""
    add_model_dir_flag(parser, "what `trivd train` wrote")
    add_config_flags(parser)
    parser.add_argument(
        "--step",
        metavar="N",
        type=natural_number,
        help="score the checkpoint of this step (default: the newest)",
    )
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="also score the model as it was before its first step",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluates a checkpoint and prints the table."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    model_dir = existing_model_dir(args.model_dir)
    import_tensorflow(debug=args.debug)

    from trivd_tf import run_record
    from trivd_tf.evaluation import evaluate

    _, experiment = load_config(args, model_dir)
    report = evaluate(
        experiment,
        model_dir,
        step=args.step,
        include_untrained=args.untrained,
        seed=run_record.choose_seed(model_dir, None),
    )
    print(report)
    return 0
