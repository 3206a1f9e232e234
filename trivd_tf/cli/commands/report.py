"""Assemble the paper's Tables 1 to 4 from runs.

Beside each of the paper's figures stands what `trivd evaluate --protocol ...` measured of that row,
empty where nothing was. A run belongs to the row that its gin file (or its directory) is named
after, such as table2_tsru_p; several trainings of one row give mean and unbiased standard
deviation. Of each run its best step counts, where it was scored, else its last.

example:
  trivd report runs/table2_tsru_p runs/table2_conv_gru --output report
  trivd report runs
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd report`."""
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        help="a model directory that was evaluated, or a directory that holds such",
    )
    parser.add_argument(
        "--output", metavar="DIR", help="also write tables.md and tables.json there"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the tables."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    import_tensorflow(debug=args.debug)

    import json

    from trivd_tf.base.storage import write_whole
    from trivd_tf.evaluation.paper_tables import tables

    found = tables.read_runs([Path(run).expanduser() for run in args.runs])
    text = tables.markdown(found)
    if args.output is not None:
        folder = Path(args.output).expanduser()
        content = json.dumps(tables.to_json(found), indent=1) + "\n"
        for name, written in (("tables.md", text), ("tables.json", content)):
            write_whole(folder / name, written)
    print(text)
    return 0
