"""Train a model, or resume training.

Running the same command again resumes from the newest checkpoint; --gin_file can then be omitted.
Ctrl-C and SIGTERM save a checkpoint before the command ends; with several machines, a signal to any
of them saves and stops all of them.

example:
  trivd train --gin_file folder --data_dir ~/videos --model_dir runs/mine
  trivd train --model_dir runs/mine            # resumes it
  trivd train --gin_file small_on_folder --start_from small --data_dir ~/videos --model_dir runs/own
  trivd train --gin_file folder --data_dir ~/videos --model_dir runs/gpus --strategy mirrored
  trivd train --gin_file folder --data_dir ~/videos --model_dir gs://bucket/run --strategy tpu
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import RunPath, is_address
from trivd_tf.cli.flags import (
    add_config_flags,
    add_model_dir_flag,
    add_seed_flag,
    add_strategy_flags,
    load_config,
    local_output,
    new_model_dir,
    strategy_from,
)
from trivd_tf.cli.xla_flags import keep_autotuning


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd train`."""
    add_model_dir_flag(parser, "where checkpoints, logs and the configuration are kept")
    add_config_flags(parser)
    add_seed_flag(
        parser, "of weights, data order and latents (default: the run's own, at first 0)", None
    )
    parser.add_argument(
        "--start_from",
        metavar="DIR_OR_NAME",
        help="start from the weights of another run or of an export of the same networks, or of a "
        "model shipped with the package (small, walks, digits); the optimizers start from zero. "
        "A run that has a checkpoint resumes from it instead",
    )
    add_strategy_flags(parser)
    parser.add_argument(
        "--autotune_cache",
        metavar="DIR",
        help="on a GPU: store XLA's autotuning results in this folder, so that later runs reuse "
        "them",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="train from the first step: everything that an earlier run wrote to --model_dir is "
        "moved to --model_dir/earlier/TIME first",
    )
    parser.add_argument(
        "--watch_maintenance",
        action="store_true",
        help="on Google Cloud: also save and stop when the machine is notified of maintenance or "
        "preemption",
    )


def run(args: argparse.Namespace) -> int:
    """Train until the configured number of steps or until a signal."""
    # The summation order of convolutions on CPU depends on the thread that starts them. With one
    # thread that starts operations (each still uses all cores), a run is repeatable to the last
    # bit.
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

    from trivd_tf.cli.tensorflow_log import import_tensorflow

    model_dir = new_model_dir(args.model_dir)
    if args.autotune_cache is not None:
        keep_autotuning(local_output("--autotune_cache", args.autotune_cache))
    import_tensorflow(debug=args.debug)

    from trivd_tf.base.lock import directory_lock
    from trivd_tf.cli.failures import leaving_at_once
    from trivd_tf.cli.maintenance import watching_maintenance
    from trivd_tf.cli.signals import EXIT_TERMINATED, StopSignal
    from trivd_tf.evaluation import TrainingScore
    from trivd_tf.runs import record as run_record
    from trivd_tf.runs.run_start import RunStart, nothing_to_do
    from trivd_tf.runs.start import Start
    from trivd_tf.training import train
    from trivd_tf.training.distribution.strategy import replica_batch_size
    from trivd_tf.training.distribution.workers import Workers

    parsed, experiment = load_config(args, model_dir, report=False, restart=args.restart)
    _refuse_scores_elsewhere(model_dir, experiment.training.evaluate_every_steps)
    resume = model_files.has_checkpoint(model_dir) and not args.restart
    seed = run_record.choose_seed(model_dir, args.seed) if resume else (args.seed or 0)
    start = None
    if args.start_from is not None and not resume:
        start = Start(args.start_from, parsed.operative_text, report=_to_stderr)
    # Before anything is written: a wrong folder must not leave a model directory behind.
    experiment.data.prepare(experiment.clip)
    class_names = run_record.class_names_of(experiment)
    strategy = strategy_from(args)
    # Also checked before anything is written.
    replica_batch_size(strategy, experiment.training.batch_size)
    stop = StopSignal()
    on_score = TrainingScore.where_possible(
        experiment,
        str(model_dir),
        resume=resume,
        report=_to_stderr,
        strategy=strategy,
        should_stop=stop.is_set,
    )
    workers = Workers(strategy)
    beginning = RunStart(
        parsed.operative_text,
        experiment,
        model_dir,
        seed=seed,
        class_names=class_names,
        resume=resume,
    )
    with (
        leaving_at_once(wanted=workers.count > 1, debug=args.debug),
        contextlib.ExitStack() as held,
    ):
        if workers.is_chief:
            held.enter_context(directory_lock(model_dir, "trivd train"))
            beginning.check(restart=args.restart)
        with stop, watching_maintenance(stop, wanted=args.watch_maintenance):
            result = train(
                experiment,
                model_dir=model_dir,
                seed=seed,
                strategy=strategy,
                stop=stop,
                on_score=on_score,
                start=start,
                on_begin=beginning.begin if workers.is_chief else None,
            )
    if result.was_stopped:
        print(
            f"trivd: stopped and saved at step {result.step} of {experiment.training.num_steps}; "
            "the same command resumes",
            file=sys.stderr,
        )
        # Another worker may have received the signal; no worker has finished.
        return stop.exit_status or EXIT_TERMINATED
    if resume and not beginning.has_begun and workers.is_chief:
        print(nothing_to_do(model_dir, result.step, experiment.training.num_steps))
        return 0
    print(f"trained {result.step} steps: {model_dir}")
    return 0


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _refuse_scores_elsewhere(model_dir: RunPath, evaluate_every_steps: int) -> None:
    if evaluate_every_steps and is_address(model_dir):
        raise InputError(
            f"--model_dir {model_dir}: the best model is kept on this machine only; bind "
            "training.TrainingOptions.evaluate_every_steps = 0, or give a local folder"
        )
