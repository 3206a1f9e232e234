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
)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd evaluate`."""
    add_model_dir_flag(parser, "what `trivd train` wrote")
    add_config_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates the newest weights and prints the table."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    model_dir = existing_model_dir(args.model_dir)
    import_tensorflow(debug=args.debug)

    from trivd_tf.evaluation import evaluate

    _, experiment = load_config(args, model_dir)
    report = evaluate(experiment, model_dir)
    print(report)
    return 0
