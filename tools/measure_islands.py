"""Measures a step's islands in XLA: instructions, convolutions, dots, and seconds to compile.

One step of the gin file runs with `TrainingOptions.jit_compile = True` on random clips, twice, each
time in a separate process: first XLA dumps its programs, then the compilation is timed. With
`--cache` it runs twice more, with TensorFlow's cache of compiled programs on disk, empty and
filled. Any device works; on a CPU the seconds are those of XLA's CPU compiler.

example:
  python tools/measure_islands.py --gin_file bouncing_digits \\
      --gin_bindings 'models.generator.channel_multiplier = 48'
"""

import argparse
import collections
import dataclasses
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ISLANDS = {
    "iterate": "power iterations",
    "normalized_kernels": "spectral norms",
    "_normalize": "conditional batch norm",
    "step": "recurrent step",
    "penalty": "orthogonality penalty",
    "apply": "optimizer",
    "update": "average of the weights",
}
_COMPILED = re.compile(r"Compiled (\S+) \d+ times, compile time: (\d+) us")
# __inference_apply_12, __forward__normalize_34, __inference___backward__normalize_5_67
_NAME = re.compile(
    r"_{0,2}(?:inference|forward)_(__backward_)?(" + "|".join(ISLANDS) + r")_[\d_]+$"
)


@dataclasses.dataclass
class Row:
    """Sums over the programs of one type of island."""

    programs: int = 0
    instructions: int = 0
    convolutions: int = 0
    dots: int = 0
    seconds: float = 0.0


def kind_of_program(name: str) -> str:
    """Return the island's name in the table, or the program's name if it is not an island."""
    found = _NAME.search(name)
    if not found:
        return name
    return ISLANDS[found[2]] + (", backward" if found[1] else "")


def count_hlo(text: str) -> tuple[int, int, int]:
    """Count instructions, convolutions and dots in the text of an HLO module."""
    instructions = sum(" = " in line for line in text.splitlines())
    return instructions, text.count(" convolution("), text.count(" dot(")


def read_programs(folder: Path) -> dict[str, Row]:
    """Read the dump of `--xla_dump_to`, by type of island."""
    rows: dict[str, Row] = collections.defaultdict(Row)
    for path in sorted(folder.glob("*.before_optimizations.txt")):
        # module_0012.a_inference_apply_345__.78.before_optimizations.txt
        name = path.name.split(".")[1].removeprefix("a_").rstrip("_")
        row = rows[kind_of_program(name)]
        instructions, convolutions, dots = count_hlo(path.read_text(encoding="utf-8"))
        row.programs += 1
        row.instructions += instructions
        row.convolutions += convolutions
        row.dots += dots
    return rows


def read_seconds(log: str) -> dict[str, float]:
    """Read XLA's compile seconds by type of island from TensorFlow's log."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for name, microseconds in _COMPILED.findall(log):
        seconds[kind_of_program(name)] += int(microseconds) / 1e6
    return seconds


def as_markdown(rows: dict[str, Row]) -> str:
    """Return the table, slowest first, with a row of sums."""
    lines = [
        "| island | programs | HLO instructions | convolutions | dots | XLA, s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    ordered = sorted(rows.items(), key=lambda pair: -pair[1].seconds)
    total = Row(*(sum(dataclasses.astuple(row)[i] for row in rows.values()) for i in range(5)))
    for name, row in [*ordered, ("all", total)]:
        lines.append(
            f"| {name} | {row.programs} | {row.instructions:,} | {row.convolutions} | {row.dots} "
            f"| {row.seconds:.1f} |"
        )
    return "\n".join(lines)


def one_step(gin_files: list[str], bindings: list[str]) -> None:
    """Run one step with compiled islands on random clips."""
    import numpy as np
    import tensorflow as tf

    from trivd_tf import config
    from trivd_tf.training.checkpoints import Counters
    from trivd_tf.training.compiled_loop import CompiledLoop
    from trivd_tf.training.loop import build_step

    wanted = [*bindings, "training.TrainingOptions.jit_compile = True"]
    experiment = config.parse(gin_files, wanted, stand_in_data=True).build()
    strategy = tf.distribute.get_strategy()
    loop = CompiledLoop(build_step(experiment, strategy, 0), strategy, Counters())
    clip, batch = experiment.clip, experiment.training.batch_size
    shape = (batch, clip.num_frames, clip.height, clip.width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    batches = tf.data.Dataset.from_tensors({"video": pixels, "label": np.zeros(batch, np.int32)})
    loop(iter(batches.repeat()), 1)


def in_a_process(arguments: list[str], **environment: str) -> str:
    """Run one step in a process; return its log."""
    logged = {"TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "device_compilation_profiler=1"}
    done = subprocess.run(
        [sys.executable, __file__, "--child", *arguments],
        env={**os.environ, **logged, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stderr


def main() -> int:
    """Print the table of a gin file's islands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gin_file", action="append", required=True)
    parser.add_argument("--gin_bindings", action="append", default=[])
    parser.add_argument("--cache", action="store_true", help="also time the cache on disk")
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        one_step(args.gin_file, args.gin_bindings)
        return 0
    arguments = [part for name in args.gin_file for part in ("--gin_file", name)]
    arguments += [part for text in args.gin_bindings for part in ("--gin_bindings", text)]
    with tempfile.TemporaryDirectory() as folder:
        flags = f"--xla_dump_to={folder} --xla_dump_hlo_as_text"
        in_a_process(arguments, XLA_FLAGS=flags)
        rows = read_programs(Path(folder))
    for name, seconds in read_seconds(in_a_process(arguments)).items():
        rows[name].seconds = seconds
    print(as_markdown(rows))
    if args.cache:
        with tempfile.TemporaryDirectory() as folder:
            flags = f"--tf_xla_persistent_cache_directory={folder}"
            for state in ("empty", "filled"):
                log = in_a_process(arguments, TF_XLA_FLAGS=flags)
                print(f"with a cache on disk, {state}: {sum(read_seconds(log).values()):.1f} s")
    if args.json:
        content = {name: dataclasses.asdict(row) for name, row in rows.items()}
        args.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
