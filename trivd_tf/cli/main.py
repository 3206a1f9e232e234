"""Parses the command line, runs a subcommand, and turns failures into one line and a status."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from trivd_tf._version import __version__
from trivd_tf.base.errors import InputError
from trivd_tf.cli import failures
from trivd_tf.cli.signals import Terminated, raise_on_sigterm

# Modules of trivd_tf.cli, in the order in which --help lists them. They import nothing heavy
# before they run, so that --help and a mistyped flag are answered at once.
COMMANDS = (
    "prepare",
    "train",
    "evaluate",
    "export",
    "predict",
    "demo",
    "describe",
    "compare",
    "report",
    "compile",
)

_DESCRIPTION = """\
Predict the future frames of a video with TrIVD-GAN.

  trivd prepare   turn a data set into records, once
  trivd train     learn from videos
  trivd evaluate  score a trained model, next to simple baselines
  trivd export    write a trained model as a TensorFlow SavedModel
  trivd predict   continue your own clips
  trivd report    assemble the paper's tables from runs
  trivd demo      try a model in the browser
  trivd describe  tell what networks a configuration makes, what they cost and see
  trivd compare   train and score several configurations alike
  trivd compile   tell what a train step needs on a TPU, without one

`trivd COMMAND --help` shows the flags and an example of each.
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong flag in one line, like every other wrong input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; `{self.prog} --help` shows what it takes")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = _Parser(
        prog="trivd", description=_DESCRIPTION, formatter_class=formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"trivd_tf {__version__}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=_Parser
    )
    for name in COMMANDS:
        module = command_module(name)
        summary, _, details = (module.__doc__ or "").strip().partition("\n")
        subparser = subparsers.add_parser(
            name,
            help=summary[0].lower() + summary[1:].rstrip("."),
            description=f"{summary}\n{details}",
            formatter_class=formatter,
            allow_abbrev=False,
        )
        module.add_flags(subparser)
        subparser.add_argument(
            "--debug",
            action="store_true",
            help="show the traceback of an error, and all of TensorFlow's log",
        )
    return parser


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parses the command line; a subcommand may take unknown flags: `take_other_flags`.

    Raises:
        InputError: the usage is wrong.
    """
    args, others = build_parser().parse_known_args(arguments)
    take = getattr(command_module(args.command), "take_other_flags", None)
    if others and not (take and take(args, others)):
        raise InputError(
            f"unrecognized arguments: {' '.join(others)}; `trivd {args.command} --help` shows what "
            "it takes"
        )
    return args


def command_module(name: str) -> ModuleType:
    """The module of a subcommand: `add_flags(parser)` and `run(args) -> exit status`."""
    return importlib.import_module(f"trivd_tf.cli.commands.{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0; 1 for a run that failed; 2 for usage, configuration or input; 130 and 143 after Ctrl-C
        and SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Known before parsing, because parsing itself can fail.
    debug = "--debug" in arguments
    try:
        args = parse(arguments)
        with raise_on_sigterm():
            return command_module(args.command).run(args)
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return failures.report(error, debug=debug)
