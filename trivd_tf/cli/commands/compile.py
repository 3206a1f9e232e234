"""Estimate a train step's TPU memory and cost without a TPU.

Compiles the real train step (discriminator and generator updates, Adam, synchronized batch norm)
for the topology with the TPU's own compiler, and prints, per replica, the memory of arguments and
temporaries, the peak, FLOPs, bytes accessed and the collectives, or the out-of-memory error that a
TPU would report. A full-size step takes minutes to compile; programs that are recorded in --output
are not compiled again, so an interrupted command resumes. Each --gin_file is a separate
configuration. Requires the [aot] extra: pip install '.[aot]'.

TPUStrategy runs a step as two programs, `discriminators` (twice) and `generator`; "other" is what
the job keeps in memory in addition to a program's arguments. GB are 10^9 bytes.

example:
  trivd compile --gin_file bouncing_digits --topology v3:2x2
  trivd compile --gin_file table1_clip --topology v3:2x2 --replica_batch 8 --output compiled
  trivd compile --gin_file table3_trivd_gan_fp --topology v5e --find_batch
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from trivd_tf.cli.flags import add_compared_flags, positive_number


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd compile`."""
    add_compared_flags(parser)
    group = parser.add_argument_group("job")
    group.add_argument(
        "--topology",
        metavar="NAME",
        default="v3:2x2",
        help="v2, v3, v4, v5e, v5p or v6e with the shape of the slice in chips, for example "
        "v3:2x2, v4:2x2x1; without a shape, one host (default: v3:2x2)",
    )
    group.add_argument(
        "--replicas", metavar="N", type=positive_number, help="default: every core of the topology"
    )
    group.add_argument(
        "--replica_batch",
        metavar="N",
        type=positive_number,
        help="samples per replica (default: the configured batch divided by the replicas)",
    )
    group.add_argument(
        "--programs",
        choices=("train", "predict", "all"),
        default="all",
        help="the train step's programs, the prediction's, or all (default: all)",
    )
    group.add_argument(
        "--find_batch",
        action="store_true",
        help="find the largest batch per replica that fits, starting from --replica_batch",
    )
    parser.add_argument(
        "--output",
        metavar="DIR",
        default="compiled",
        help="directory of compiled.json, the results of all compilations (default: compiled)",
    )
    parser.add_argument(
        "--again",
        action="store_true",
        help="recompile recorded programs that have changed",
    )


def run(args: argparse.Namespace) -> int:
    """Compile each configuration and print its table."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow
    from trivd_tf.compilation.topologies import parse_topology

    topology = parse_topology(args.topology)
    import_tensorflow(debug=args.debug)

    from trivd_tf.compilation import compile, paper, programs, records, report

    names = {
        "train": programs.TRAINING_PROGRAMS,
        "predict": ("prediction",),
        "all": programs.PROGRAMS,
    }[args.programs]
    kept = records.Records(args.output)
    kept.read()  # reject an unrelated file before minutes of compiling
    costs, fit = {}, True
    for gin_file in args.gin_file:
        job = compile.Job.of(
            _experiment(args, gin_file), topology, args.replicas, args.replica_batch
        )
        if args.find_batch:
            job = compile.find_batch(job, kept, say=_say)[-1]
        found = compile.compile_job(job, kept, names, again=args.again, say=_say)
        print(report.job_table(job, found), flush=True)
        fit = fit and all(record.fits for record in found.values())
        cost = report.step_cost(found)
        if cost is not None:
            costs[Path(gin_file).stem] = cost
    print(paper.beside_the_paper(costs), end="")
    return 0 if fit else 1


def _experiment(args: argparse.Namespace, gin_file: str):
    from trivd_tf import config

    parsed = config.parse(
        [gin_file], args.gin_bindings, data_dir=args.data_dir, stand_in_data=args.data_dir is None
    )
    experiment = parsed.build()
    return dataclasses.replace(experiment, title=experiment.title or Path(gin_file).stem)


def _say(line: str) -> None:
    print(f"trivd: {line}", file=sys.stderr, flush=True)
