"""Evaluate a trained or exported model against simple baselines.

Prints a table (FVD, IS, PSNR, SSIM) of the model, of copying the last frame, and of real against
real at the same number of samples, with everything that the scores depend on, and writes it as
report.md and report.json to MODEL_DIR/evaluations/STEP/PROTOCOL/. Without --protocol the run's own
options apply. Running the same command again resumes an interrupted evaluation.

example:
  trivd evaluate --model_dir runs/mine
  trivd evaluate --model_dir runs/mine --num_samples 512 --figures samples truncation motion
  trivd evaluate --model_dir runs/kinetics --step best --protocol kinetics600_test
  trivd evaluate --model_dir exported/kinetics --protocol ucf101 --data_dir ~/prepared/ucf101
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from trivd_tf.base.model_files import report_files
from trivd_tf.base.outputs import check_outputs
from trivd_tf.cli.flags import (
    add_config_flags,
    add_model_dir_flag,
    add_step_flag,
    add_strategy_flags,
    existing_model_dir,
    load_config,
    local_output,
    positive_number,
    strategy_from,
)

if TYPE_CHECKING:
    from trivd_tf.evaluation import Scoring
    from trivd_tf.experiment import Experiment

# Flags that change a protocol; the changes are printed as deviations.
_CHANGES = {
    "num_samples": "clips, predicted and real alike",
    "num_runs": "score the model this often, with other latents and standing statistics each time",
    "standing_batches": "batches that the standing statistics are estimated on",
    "standing_batch_size": "clips in each of them",
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd evaluate`."""
    add_model_dir_flag(parser, "what `trivd train` or `trivd export` wrote", "--model")
    add_config_flags(parser)
    add_step_flag(parser, "score")
    add_strategy_flags(parser)
    parser.add_argument(
        "--untrained",
        action="store_true",
        help="also score the model as it was before its first step",
    )
    group = parser.add_argument_group("protocol")
    group.add_argument(
        "--protocol",
        metavar="NAME",
        help="score by a fixed protocol, regardless of the run's configuration: kinetics600_val, "
        "kinetics600_test, kinetics600_train, ucf101, bair_original, bair_balanced, moving_mnist, "
        "bouncing_digits, freedom_walks or gymnasium. --data_dir is then the folder of the "
        "protocol's data set (default: that of the training data, if it is the same set)",
    )
    for name, text in _CHANGES.items():
        group.add_argument(f"--{name}", metavar="N", type=positive_number, help=text)
    group.add_argument(
        "--batch_size", metavar="N", type=positive_number, help="clips predicted at once"
    )
    group = parser.add_argument_group("output")
    group.add_argument(
        "--figures",
        metavar="KIND",
        nargs="*",
        default=["samples"],
        help="pictures besides the table: samples (FVD over the number of samples: the bias), "
        "truncation (none, 0.8 and 0 side by side: the model is scored twice more), best_of (SSIM "
        "of the best of 1 to 100 futures), motion (predictions and motion fields), or all "
        "(default: samples)",
    )
    group.add_argument(
        "--best_of_clips",
        metavar="N",
        type=positive_number,
        default=256,
        help="number of clips for best_of, with 100 futures each (default: 256)",
    )
    group.add_argument(
        "--output", metavar="DIR", help="report directory (default: in MODEL_DIR/evaluations)"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate a checkpoint and print the table."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    if args.output is not None:  # before loading anything
        check_outputs(report_files(local_output("--output", args.output)))
    model_dir = existing_model_dir(args.model_dir)
    import_tensorflow(debug=args.debug)

    from trivd_tf.base.errors import InputError
    from trivd_tf.base.model_files import is_export
    from trivd_tf.evaluation import Pictures, evaluate
    from trivd_tf.evaluation.reporting.pictures import KINDS
    from trivd_tf.runs import record as run_record

    if args.untrained and is_export(model_dir):
        raise InputError(f"--untrained: {model_dir} is an exported model; give its model directory")
    if args.strategy == "multi_worker":
        raise InputError(
            "--strategy multi_worker: an evaluation runs in one process; give mirrored or tpu"
        )
    strategy = strategy_from(args)
    kinds = KINDS if "all" in args.figures else tuple(args.figures)
    pictures = Pictures(kinds, args.best_of_clips)
    experiment, scoring = _scoring(args, model_dir)
    report = evaluate(
        experiment,
        model_dir,
        step=args.step,
        scoring=scoring,
        include_untrained=args.untrained,
        seed=run_record.choose_seed(model_dir, None),
        pictures=pictures,
        strategy=strategy,
        output=args.output,
    )
    print(report)
    return 0


def _scoring(args: argparse.Namespace, model_dir: Any) -> tuple[Experiment, Scoring]:
    """Return the experiment of the model, and how to score it."""
    from trivd_tf.base import model_files
    from trivd_tf.evaluation import Scoring, apply_protocol, find_protocol
    from trivd_tf.evaluation.evaluate import with_options

    names = (*_CHANGES, "batch_size")
    changes = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.protocol is None:
        _, experiment = load_config(args, model_dir)
        scored = experiment = with_options(experiment, **changes)
        if args.data_dir is not None and not args.gin_file and model_files.is_model_dir(model_dir):
            args.data_dir = None  # data to score on, not the training data
            _, experiment = load_config(args, model_dir)
            experiment = with_options(experiment, **changes)
        return experiment, Scoring(scored)
    protocol = find_protocol(args.protocol)
    data_dir = args.data_dir
    args.data_dir = None  # data of the protocol, not the training data
    _, experiment = load_config(args, model_dir)
    return experiment, apply_protocol(protocol, experiment, data_dir=data_dir, changes=changes)
