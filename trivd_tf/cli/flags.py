"""Flags shared by several subcommands, and their conversion to objects."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.outputs import check_writable
from trivd_tf.base.shipped import find_model
from trivd_tf.base.storage import RemotePath, RunPath, is_address, run_folder

if TYPE_CHECKING:
    import tensorflow as tf

    from trivd_tf.config import ParsedConfig
    from trivd_tf.experiment import Experiment


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--gin_file`, `--gin_bindings` and `--data_dir`."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--gin_file",
        metavar="FILE",
        action="append",
        default=[],
        help="a path, or the name of a file shipped with trivd_tf (quickstart, folder, "
        "bouncing_digits, ...); may be repeated, later files override earlier ones. Default: the "
        "configuration in --model_dir",
    )
    group.add_argument(
        "--gin_bindings",
        metavar="BINDING",
        action="append",
        default=[],
        help="one more binding, for example 'training.TrainingOptions.batch_size = 16'; may be "
        "repeated",
    )
    group.add_argument(
        "--data_dir", metavar="DIR", help="the folder that the configuration's data source reads"
    )


def add_compared_flags(parser: argparse.ArgumentParser) -> None:
    """Add the configuration flags of commands that process several configurations separately."""
    group = parser.add_argument_group("configurations")
    group.add_argument(
        "--gin_file",
        metavar="FILE",
        action="append",
        required=True,
        help="a path, or the name of a file shipped with trivd_tf (table2_tsru_p, ...); may be "
        "repeated, each is a separate configuration",
    )
    group.add_argument(
        "--gin_bindings",
        metavar="BINDING",
        action="append",
        default=[],
        help="one more binding for all of them; may be repeated",
    )
    group.add_argument("--data_dir", metavar="DIR", help="the folder that their data sources read")


def add_model_dir_flag(parser: argparse.ArgumentParser, help_text: str, *other_names: str) -> None:
    """Add `--model_dir`, required, with optional other names."""
    parser.add_argument("--model_dir", *other_names, metavar="DIR", required=True, help=help_text)


def add_standing_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--standing_batches` and `--standing_batch_size`, for a model directory."""
    for name, text in (
        ("standing_batches", "batches that a model directory's standing statistics come from"),
        ("standing_batch_size", "clips in each of them"),
    ):
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=positive_number,
            help=f"{text} (default: as its configuration says)",
        )


def add_step_flag(parser: argparse.ArgumentParser, verb: str) -> None:
    """Add `--step`, a number or `best`."""
    parser.add_argument(
        "--step",
        metavar="N",
        type=step_number,
        help=f"{verb} the checkpoint of this step, or `best`: the one with the best score on the "
        "training set (default: the newest)",
    )


def add_seed_flag(parser: argparse.ArgumentParser, help_text: str, default: int | None) -> None:
    """Add `--seed`, a number from 0 on."""
    parser.add_argument("--seed", metavar="N", type=natural_number, default=default, help=help_text)


def add_strategy_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--strategy`, `--tpu` and `--logical_devices`, which `strategy_from` reads."""
    group = parser.add_argument_group("devices (docs/scaling.md)")
    group.add_argument(
        "--strategy",
        choices=("one_device", "mirrored", "multi_worker", "tpu"),
        default="one_device",
        help="one_device (default): the first GPU, or the CPU; mirrored: all GPUs of this machine; "
        "multi_worker: the machines that TF_CONFIG names; tpu: a TPU or a slice of a pod",
    )
    group.add_argument(
        "--tpu",
        metavar="NAME",
        help="with --strategy tpu: its name or address, or local (default) on a Cloud TPU VM",
    )
    group.add_argument(
        "--logical_devices",
        metavar="N",
        type=positive_number,
        help="divide the CPU into N devices, to try --strategy mirrored without GPUs",
    )


def add_runner_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--runner` of Apache Beam, which `beam_flags_from` reads."""
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--runner",
        metavar="NAME",
        help="a runner of Apache Beam, such as DataflowRunner or FlinkRunner; flags that are not "
        "listed here are passed to it, as --name=value; its workers need this package and access "
        "to sources and output (default: all cores of this machine)",
    )


def beam_flags_from(args: argparse.Namespace, others: list[str]) -> list[str]:
    """Return the flags for Apache Beam: `--runner`, and the unknown flags `others`.

    Raises:
        InputError: there are others without a runner, or they are not flags.
    """
    if args.runner is None:
        if others:
            raise InputError(
                f"unrecognized arguments: {' '.join(others)}; Apache Beam's flags need --runner"
            )
        return []
    # The value in `--name value` would be lost, or taken for an argument of this command.
    loose = [flag for flag in others if not flag.startswith("--")]
    if loose:
        raise InputError(f"{loose[0]!r} is no flag; write Beam's as --name=value")
    return [f"--runner={args.runner}", *others]


def strategy_from(args: argparse.Namespace) -> tf.distribute.Strategy:
    """Return the strategy set by the flags; call it before TensorFlow computes anything.

    Raises:
        InputError: contradictory flags, no such TPU, or an invalid TF_CONFIG.
    """
    from trivd_tf.training.distribution.strategy import make_strategy

    return make_strategy(args.strategy, tpu=args.tpu, logical_devices=args.logical_devices)


def natural_number(text: str) -> int:
    """Argparse type: 0, 1, 2, ..., below 2**31, which every random generator accepts."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to 2147483647")
    return number


def frame_rate(text: str) -> float:
    """Argparse type: frames per second, above 0 and up to 1000."""
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of frames a second above 0, at most 1000"
        )
    return rate


def step_number(text: str) -> int | str:
    """Argparse type: `best`, or a number from 0 on."""
    if text == "best":
        return text
    try:
        return natural_number(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor `best`") from error


def positive_number(text: str) -> int:
    """Argparse type: 1, 2, 3, ..."""
    number = natural_number(text)
    if number == 0:
        raise argparse.ArgumentTypeError("0 is too few; give 1 or more")
    return number


def local_path(flag: str, text: str) -> Path:
    """Return the local path in an output flag.

    Raises:
        InputError: it is a URL, which pathlib would turn into a local folder.
    """
    if is_address(text):
        raise InputError(
            f"{flag} {text}: this command writes to local folders only; choose one, and "
            "copy it afterwards, for example with `gcloud storage cp -r`"
        )
    return Path(text).expanduser()


def local_output(flag: str, text: str) -> Path:
    """Return the local folder in an output flag, after checking that it is writable.

    Raises:
        InputError: it is a URL or a file.
        RunError: it is not writable.
    """
    path = local_path(flag, text)
    if path.exists() and not path.is_dir():
        raise InputError(f"{flag} {text} is a file; give a directory")
    check_writable(path)
    return path


def new_model_dir(text: str) -> RunPath:
    """Return the model directory that `trivd train` may create.

    Raises:
        InputError: it is a file, or is inside one.
    """
    folder = run_folder(text)
    if isinstance(folder, Path):
        for path in (folder, *folder.absolute().parents):
            if path.exists() and not path.is_dir():
                raise InputError(f"--model_dir {text}: {path} is a file; give a directory")
    return folder


def existing_model_dir(text: str) -> Path:
    """Return an existing model directory by path or name.

    Raises:
        InputError: it is no directory, or contains no trained model.
    """
    if is_address(text):
        raise InputError(
            f"--model_dir {text}: only `trivd train` supports remote folders; copy it here "
            "first, for example with `gcloud storage cp -r`"
        )
    path = find_model(text)
    if not path.is_dir():
        raise InputError(f"--model_dir {text} is not a directory; train a model there first")
    if not (path / model_files.CONFIG).is_file():
        raise InputError(
            f"--model_dir {text} holds no {model_files.CONFIG}; give the directory that "
            "`trivd train` wrote to"
        )
    return path


def load_config(
    args: argparse.Namespace, model_dir: RunPath, *, report: bool = True, restart: bool = False
) -> tuple[ParsedConfig, Experiment]:
    """Parse, check and build the configuration of the flags.

    Without `--gin_file`, the configuration in `model_dir` is used. `--gin_bindings` apply to
    either.

    Args:
        args: parsed configuration flags.
        model_dir: model directory of a run that may not have started yet.
        report: print what changed since the run started.
        restart: do not resume the run in `model_dir`, if any.

    Raises:
        InputError: there is no configuration, it is invalid, or it contradicts the model in
            `model_dir`.
    """
    from trivd_tf import config
    from trivd_tf.runs import record as run_record

    saved = model_dir / model_files.CONFIG
    if not args.gin_file and not saved.is_file():
        raise InputError(
            f"no --gin_file, and {model_dir} holds no {model_files.CONFIG} to resume; give a "
            "configuration, for example --gin_file quickstart"
        )
    with _local_copies(args.gin_file or [saved]) as files:
        parsed = config.parse(files, args.gin_bindings, data_dir=args.data_dir)
    experiment = parsed.build()
    if saved.is_file() and model_files.has_checkpoint(model_dir) and not restart:
        changes = changes_of_config(parsed, saved)
        if report:
            report_changes(changes)
        experiment = run_record.with_classes(experiment, model_dir)
    return parsed, experiment


@contextlib.contextmanager
def _local_copies(files: Sequence[str | RunPath]) -> Iterator[list[str | Path]]:
    """Yield local copies of the files, because gin reads only local files."""
    with tempfile.TemporaryDirectory() as folder:
        local: list[str | Path] = []
        for file in files:
            if isinstance(file, RemotePath):
                copy = Path(folder) / model_files.CONFIG
                copy.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
                local.append(copy)
            else:
                local.append(file)
        yield local


def changes_of_config(parsed: ParsedConfig, saved: RunPath) -> dict[str, str]:
    """Return the changes since the run started; see `runs.resume.changes_of_run`."""
    from trivd_tf.runs import resume

    return resume.changes_of_run(saved.parent, parsed.operative_text)


def report_changes(changes: dict[str, str]) -> None:
    """Print the changes found by `changes_of_config`."""
    for text in changes.values():
        print(f"trivd: changed: {text}", file=sys.stderr)
