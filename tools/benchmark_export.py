"""Compares latency and memory of an exported model with those of the generator in process.

    python tools/benchmark_export.py --model_dir runs/mine --export_dir exported/mine
    python tools/benchmark_export.py --channel_multiplier 16      # a fresh generator, no training

Both predict the same clips in turn, so that other load on the machine affects both. Prints p50 and
p95 of a call and clips per second for each batch size, how much slower the exported model is, and
the process's memory over many calls. Exits with 1 if the exported model is more than 5 % slower
(p50, at any batch size) or memory grows by more than 2 % after the first tenth of the calls.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

BATCH_SIZES = (1, 4, 16)
SLOWER_ALLOWED = 0.05
GROWTH_ALLOWED = 0.02
MEMORY_SAMPLES = 20


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def time_in_turn(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, np.ndarray]:
    """Return the seconds of each call, `[repeats]`; the order changes every round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(2):  # trace, allocate memory, fill caches
        for call in calls.values():
            call()
    for repeat in range(repeats):
        names = list(calls) if repeat % 2 else list(reversed(calls))
        for name in names:
            begun = time.perf_counter()
            calls[name]()
            seconds[name].append(time.perf_counter() - begun)
    return {name: np.asarray(values) for name, values in seconds.items()}


def compare_latency(ours, exported, repeats: int, rng: np.random.Generator) -> list[dict]:
    """Return one row per batch size, in milliseconds."""
    rows = []
    print(f"{'batch':>5}  {'':12}{'p50 ms':>9}{'p95 ms':>9}{'clips/s':>9}")
    for batch in BATCH_SIZES:
        shape = (batch, ours.num_conditioning_frames, *ours.frame_shape, 3)
        clips = rng.integers(0, 256, shape, np.uint8)
        z = rng.standard_normal((batch, ours.latent_size)).astype(np.float32)
        calls = {
            "in process": lambda clips=clips, z=z: ours.predict_from_z(clips, z),
            "exported": lambda clips=clips, z=z: exported.predict_from_z(clips, z),
        }
        row: dict = {"batch": batch}
        for name, seconds in time_in_turn(calls, repeats).items():
            p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
            row[name] = {"p50_ms": p50, "p95_ms": p95, "clips_per_second": batch / p50 * 1e3}
            print(f"{batch:5}  {name:12}{p50:9.1f}{p95:9.1f}{batch / p50 * 1e3:9.1f}")
        row["slower"] = row["exported"]["p50_ms"] / row["in process"]["p50_ms"] - 1
        print(f"{'':7}exported model takes {100 * row['slower']:+.1f} %", flush=True)
        rows.append(row)
    return rows


def watch_memory(predictor, calls: int, rng: np.random.Generator) -> dict:
    """Record resident memory while one model is called repeatedly with different clips."""
    shape = (1, predictor.num_conditioning_frames, *predictor.frame_shape, 3)
    every = max(1, calls // MEMORY_SAMPLES)
    held = []
    for index in range(calls):
        predictor.predict(rng.integers(0, 256, shape, np.uint8), seed=index)
        if (index + 1) % every == 0:
            held.append(resident_bytes())
    # The first calls fill caches and the allocator's pools; only what follows counts.
    settled = held[max(1, len(held) // 10) :]
    growth = settled[-1] / settled[0] - 1
    print(
        f"memory over {calls} calls: {settled[0] / 1e6:.0f} MB after a tenth, "
        f"{settled[-1] / 1e6:.0f} MB at the end ({100 * growth:+.1f} %)"
    )
    return {"calls": calls, "bytes": held, "growth": growth}


def make_predictors(arguments: argparse.Namespace, folder: Path):
    """Return the generator in process and the exported model with the same weights."""
    from trivd_tf.exporting.export import export_restored
    from trivd_tf.inference.predictor import GeneratorPredictor, SavedModelPredictor
    from trivd_tf.runs.open import RestoredModel, open_run

    if arguments.model_dir is not None:
        restored = open_run(arguments.model_dir)
    else:
        from trivd_tf.models import Generator

        generator = Generator(arguments.channel_multiplier, frame_size=arguments.frame_size)
        generator.build_variables()
        restored = RestoredModel(generator)
    export_dir = arguments.export_dir
    if export_dir is None:
        export_dir = folder / "1"
        export_restored(restored, export_dir, archive=False)
    return GeneratorPredictor(restored.generator), SavedModelPredictor(export_dir)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model_dir", type=Path, help="what `trivd train` wrote")
    parser.add_argument("--export_dir", type=Path, help="its export (default: a temporary one)")
    parser.add_argument("--channel_multiplier", type=int, default=16, help="without --model_dir")
    parser.add_argument("--frame_size", type=int, default=64, help="without --model_dir")
    parser.add_argument("--repeats", type=int, default=50, help="timed calls a batch size")
    parser.add_argument("--calls", type=int, default=1000, help="calls to watch memory over")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args(argv)
    if arguments.export_dir is not None and arguments.model_dir is None:
        parser.error("--export_dir needs the --model_dir that it is an export of")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        ours, exported = make_predictors(arguments, Path(folder))
        rows = compare_latency(ours, exported, arguments.repeats, rng)
        memory = watch_memory(exported, arguments.calls, rng)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"latency": rows, "memory": memory}, indent=1) + "\n")
    right = memory["growth"] <= GROWTH_ALLOWED
    right = right and all(row["slower"] <= SLOWER_ALLOWED for row in rows)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
