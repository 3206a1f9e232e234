"""Command line: parses arguments, runs a subcommand, and reports failures with a status."""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from trivd_tf._version import __version__
from trivd_tf.base.errors import InputError
from trivd_tf.cli import failures
from trivd_tf.cli.signals import Terminated, raise_on_sigterm

# Modules of trivd_tf.cli, in the order of --help. They import nothing heavy before they run, so
# that --help and a mistyped flag are answered at once.
COMMANDS = (
    "inspect",
    "prepare",
    "train",
    "evaluate",
    "score",
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

  trivd inspect   report how videos are read, and why some are not
  trivd prepare   decode a data set once and store it in shards
  trivd train     train a model, or resume training
  trivd evaluate  evaluate a model against simple baselines
  trivd score     score videos in files: FVD, KVD, IS, PSNR, SSIM
  trivd export    write a trained model as a TensorFlow SavedModel
  trivd predict   continue your own clips
  trivd report    assemble the paper's tables from runs
  trivd demo      try a model in the browser
  trivd describe  show the networks of a configuration, their cost and views
  trivd compare   train several configurations alike and compare scores
  trivd compile   estimate a train step's TPU memory and cost without a TPU

`trivd COMMAND --help` shows the flags and an example of each.
"""


class _Parser(argparse.ArgumentParser):
    """Reports a wrong flag in one line, like any other invalid input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}{_HELP.format(self.prog)}")

    @property
    def flags(self) -> list[str]:
        """Return the long flags of this parser."""
        return [name for name in self._option_string_actions if name.startswith("--")]


_HELP = "; `{} --help` shows what it takes"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
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
    """Parse the command line; a subcommand with `take_other_flags` may accept unknown flags.

    Raises:
        InputError: invalid usage.
    """
    parser = build_parser()
    try:
        args, others = parser.parse_known_args(arguments)
        take = getattr(command_module(args.command), "take_other_flags", None)
        if others and not (take and take(args, others)):
            problem = f"unrecognized arguments: {' '.join(others)}"
            raise InputError(problem + _HELP.format(f"trivd {args.command}"))
    except InputError as error:
        message, _, advice = str(error).rpartition("; `")
        suggestions = _suggestions(parser, arguments)
        if not suggestions or not message:
            raise
        raise InputError(f"{message}; {'; '.join(suggestions)}; `{advice}") from error
    return args


def _suggestions(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> list[str]:
    """Suggest existing commands or flags for unknown ones."""
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name is None:
        return []
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        return [f"did you mean `trivd {close[0]}`?"] if close else []
    known = subparser_of(parser, name).flags
    found = []
    for word in arguments[arguments.index(name) + 1 :]:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag != "--" and flag not in known:
            close = difflib.get_close_matches("--" + flag[2:].replace("-", "_").lower(), known, n=1)
            found += [f"instead of {flag}, did you mean {close[0]}?"] if close else []
    return found


def subparser_of(parser: argparse.ArgumentParser, name: str) -> _Parser:
    """Return the parser of one command."""
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices[name]


def command_module(name: str) -> ModuleType:
    """Import the module of a subcommand: `add_flags(parser)` and `run(args) -> exit status`."""
    return importlib.import_module(f"trivd_tf.cli.commands.{name}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 1 for a failed run; 2 for invalid usage, configuration or input; 130, 141 and 143 after
        Ctrl-C, a closed stdout (as in `trivd report runs | head`) and SIGTERM.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Read before parsing, because parsing itself can fail.
    debug = "--debug" in arguments
    try:
        if not arguments:
            build_parser().print_help()
            sys.stdout.flush()
            return 0
        args = parse(arguments)
        with raise_on_sigterm():
            status = command_module(args.command).run(args)
        sys.stdout.flush()  # a closed pipe can still be reported here
        return status
    except (Exception, KeyboardInterrupt, Terminated) as error:
        return failures.report(error, debug=debug)
