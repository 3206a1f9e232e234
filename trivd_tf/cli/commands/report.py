"""Assemble the paper's Tables 1 to 4 from runs.

The tables list the paper's figures next to those that `trivd evaluate --protocol ...` measured, and
leave rows without a measurement empty. A run belongs to the row that its gin file or its directory
is named after, such as table2_tsru_p; several training runs of a row give the mean and the unbiased
standard deviation. The best step of each run counts if it was evaluated, otherwise the last one.

example:
  trivd report runs/table2_tsru_p runs/table2_conv_gru --output report
  trivd report runs
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trivd_tf.cli.flags import local_output


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd report`."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="an evaluated model directory, or a directory that contains some",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="also write tables.md and tables.json to this directory"
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    folder = None if args.output is None else local_output("--output", args.output)
    import_tensorflow(debug=args.debug)

    import json

    from trivd_tf.base.outputs import check_outputs, claimed
    from trivd_tf.base.storage import write_whole
    from trivd_tf.evaluation.paper_tables import tables

    names = ("tables.md", "tables.json")
    if folder is not None:
        check_outputs([folder / name for name in names])
    found = tables.read_runs([Path(run).expanduser() for run in args.runs])
    text = tables.markdown(found)
    if folder is not None:
        content = json.dumps(tables.to_json(found), indent=1) + "\n"
        with claimed([folder / name for name in names]):
            for name, written in zip(names, (text, content), strict=True):
                write_whole(folder / name, written)
    print(text)
    return 0
