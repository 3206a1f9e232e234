"""Checks a GPU or TPU end to end: numerics, repeatability, every command, and speed.

A tiny model is trained, killed, resumed, evaluated, exported and queried. One step's losses and
gradients are compared with the CPU's. Then `benchmark_step.py` times three widths in float32 and
bfloat16 with `jit_compile = True`, and the widest without it. Without an accelerator, only the
checks that need none run; the report lists those left out.

example:
  python tools/check_accelerator.py --output checked
  python tools/check_accelerator.py --output checked --skip_benchmarks

Writes checked/accelerator.json and checked/accelerator.md; exits with 1 if a check fails.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from accelerator_machine import CPU_ONLY, TOOLS, Machine
from accelerator_report import Check, Failure, as_markdown, carry_out

WIDTHS = (8, 32, 48)
PRECISIONS = ("float32", "mixed_bfloat16")
# Largest difference of losses and gradients, relative to the largest value.
TOLERANCES = {
    "without TF32": 1e-4,
    "without TF32, islands": 1e-4,
    "with TF32": 5e-2,
    "mixed_bfloat16": 2e-1,
}
ISLANDS = "training.TrainingOptions.jit_compile = True"


def compare_with_cpu(machine: Machine, name: str) -> dict[str, Any]:
    """Compare one step's float32 losses and gradients on the accelerator with the CPU's."""
    precision = name if name == "mixed_bfloat16" else "float32"
    tf32 = "on" if name == "with TF32" else "off"
    own, cpu = machine.folder / "own.npz", machine.folder / "cpu.npz"
    if not cpu.exists():
        machine.worker("step", cpu, "float32", "off", **CPU_ONLY)
    islands = (ISLANDS,) if name.endswith("islands") else ()
    machine.worker("step", own, precision, tf32, *islands)
    found = machine.worker("compare", cpu, own, **CPU_ONLY)
    # Written so that NaN fails.
    if not all(found[part] <= TOLERANCES[name] for part in ("losses", "gradients")):
        raise Failure(f"differs by more than {TOLERANCES[name]:g}: {found}")
    return {**found, "tolerance": TOLERANCES[name]}


def check_same_run(machine: Machine, one: str, other: str) -> dict[str, Any]:
    """Check that losses and last checkpoints are equal to the last bit."""
    if machine.losses(one) != machine.losses(other):
        raise Failure(f"losses of {one} and {other} differ")
    found = machine.worker(
        "same_checkpoints", machine.folder / one, machine.folder / other, **CPU_ONLY
    )
    if found["different"]:
        raise Failure(f"{len(found['different'])} variables differ, {found['different'][0]} first")
    return {"steps": len(machine.losses(one)), "variables": found["variables"]}


def two_runs(machine: Machine) -> dict[str, Any]:
    """Check that `deterministic = True` repeats a run to the last bit."""
    machine.train("first")
    machine.train("second")
    return check_same_run(machine, "first", "second")


def kill_and_resume(machine: Machine) -> dict[str, Any]:
    """Check that a run killed (SIGKILL) after a checkpoint ends like an uninterrupted one."""
    process = subprocess.Popen(
        [sys.executable, *machine.train_command("killed")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=machine.environment(),
    )
    checkpoints = machine.folder / "killed" / "checkpoints"
    with contextlib.suppress(ProcessLookupError):
        while process.poll() is None and not list(checkpoints.glob("ckpt-*.index")):
            time.sleep(0.02)
        process.kill()
    process.wait()
    left = sorted(path.stem for path in checkpoints.glob("ckpt-*.index"))
    machine.train("killed")
    return {"killed_after": left, **check_same_run(machine, "first", "killed")}


def trainings(machine: Machine) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return bindings and flags of the independent runs."""
    flags: tuple[str, ...] = ("--strategy", "mirrored")
    if machine.kind != "GPU":
        flags += ("--logical_devices", "2")
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "first": ((), ()),
        "second": ((), ()),
        "mixed_bfloat16": (("training.TrainingOptions.precision = 'mixed_bfloat16'",), ()),
        "mirrored": ((), flags),
    }
    return found if machine.kind == "CPU" else found | {"islands": ((ISLANDS,), ())}


def trains(machine: Machine, name: str) -> dict[str, Any]:
    """Check that a run with other options ends with finite losses."""
    bindings, flags = trainings(machine)[name]
    machine.train(name, *bindings, flags=flags)
    last = machine.losses(name)[-1]
    if not all(abs(value) < 1e6 for value in last.values()):
        raise Failure(f"losses are {last}")
    return {"last_losses": last}


def evaluate(machine: Machine) -> dict[str, Any]:
    """Check `trivd evaluate`, including I3D."""
    table = machine.python("-m", "trivd_tf", "evaluate", "--model_dir", machine.folder / "first")
    return {"table": table.strip().splitlines()}


def export(machine: Machine) -> dict[str, Any]:
    """Check that an export predicts the same on the accelerator and on the CPU."""
    exported = machine.folder / "exported"
    command = ("-m", "trivd_tf", "export", "--model_dir", machine.folder / "first")
    machine.python(*command, "--export_dir", exported)
    here, there = machine.folder / "here.npz", machine.folder / "on_cpu.npz"
    machine.worker("predict", exported, here)
    machine.worker("predict", exported, there, **CPU_ONLY)
    found = machine.worker("compare", there, here, **CPU_ONLY)
    if not found["losses"] <= 2e-2:
        raise Failure(f"the export's frames differ by {found['losses']:.2g} of their range")
    return {"difference_from_cpu": found["losses"]}


def predict(machine: Machine) -> dict[str, Any]:
    """Check that `trivd predict` continues a clip."""
    clip, futures = machine.folder / "clip.gif", machine.folder / "futures"
    machine.worker("clip", clip, **CPU_ONLY)
    command = ("-m", "trivd_tf", "predict", "--model", machine.folder / "exported", clip)
    written = machine.python(*command, "--output", futures).split()
    if not written or not all(Path(path).stat().st_size for path in written):
        raise Failure(f"nothing was written to {futures}")
    return {"files": [Path(path).name for path in written]}


def demo(machine: Machine) -> dict[str, Any]:
    """Check that `trivd demo` answers one request."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trivd_tf", "demo", "--model", machine.folder / "exported"]
        + ["--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=machine.environment(),
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address.startswith("http"):
            _, errors = process.communicate(timeout=60)
            raise Failure((errors.strip().splitlines() or ["it ended"])[-1])
        content = (machine.folder / "clip.gif").read_bytes()
        request = urllib.request.Request(
            f"{address}api/predict", data=content, headers={"X-Trivd": "1"}
        )
        started = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as response:
            answer = json.load(response)
        return {"seconds": time.perf_counter() - started, "parts": sorted(answer)}
    finally:
        process.terminate()
        process.communicate()


def benchmark(machine: Machine, width: int, precision: str, *bindings: str) -> dict[str, Any]:
    """Run `benchmark_step.py` at one width, 64 x 64, 5 -> 11 frames, batch 16."""
    result = machine.folder / "step.json"
    command = [TOOLS / "benchmark_step.py", "--gin_file", "bouncing_digits"]
    for binding in (
        f"models.generator.channel_multiplier = {width}",
        f"models.discriminators.channel_multiplier = {width}",
        "data.ClipSpec.num_conditioning_frames = 5",
        "data.ClipSpec.num_predicted_frames = 11",
        "data.ClipSpec.size = 64",
        f"training.TrainingOptions.batch_size = {8 if width == WIDTHS[0] else 16}",
        f"training.TrainingOptions.precision = '{precision}'",
        *bindings,
    ):
        command += ["--gin_bindings", binding]
    machine.python(*command, "--loops", 3, "--steps", 5, "--json", result)
    return json.loads(result.read_text(encoding="utf-8"))


def tool(machine: Machine, name: str, *arguments: Any) -> dict[str, Any]:
    """Return the output of another tool."""
    return {"printed": machine.python(TOOLS / name, *arguments).strip().splitlines()}


def all_checks(machine: Machine, *, benchmarks: bool) -> list[Check]:
    """Return the checks in running order: later ones use the output of earlier ones."""
    checks = [
        Check(
            f"a step against the CPU's, {name}",
            _bound(compare_with_cpu, machine, name),
            "accelerator",
        )
        for name in TOLERANCES
    ]
    checks += [
        Check("two deterministic runs are the same", _bound(two_runs, machine)),
        Check("kill and resume", _bound(kill_and_resume, machine)),
        Check("mixed_bfloat16 trains", _bound(trains, machine, "mixed_bfloat16")),
        Check("islands train", _bound(trains, machine, "islands"), "accelerator"),
        Check("mirrored trains", _bound(trains, machine, "mirrored")),
        Check("evaluate", _bound(evaluate, machine)),
        Check("export", _bound(export, machine)),
        Check("predict", _bound(predict, machine)),
        Check("demo", _bound(demo, machine)),
    ]
    if benchmarks:
        of_i3d = ("benchmark_i3d.py", "--batch_sizes", 32)
        of_export = ("benchmark_export.py", "--channel_multiplier", 48, "--calls", 100)
        timed = {
            "clips a second through I3D": _bound(tool, machine, *of_i3d),
            "exported against in process": _bound(tool, machine, *of_export),
        }
        for width in WIDTHS:
            for name in PRECISIONS:
                run = _bound(benchmark, machine, width, name, ISLANDS)
                timed[f"step, ch {width}, {name}, islands"] = run
        timed[f"step, ch {WIDTHS[-1]}, float32, plain"] = _bound(
            benchmark, machine, WIDTHS[-1], PRECISIONS[0]
        )
        checks += [Check(name, run, "accelerator") for name, run in timed.items()]
    return checks


def _bound(function: Callable[..., dict[str, Any]], *arguments: Any) -> Callable[[], dict]:
    return lambda: function(*arguments)


def main(argv: list[str] | None = None) -> int:
    """Check this machine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the two reports")
    parser.add_argument("--skip_benchmarks", action="store_true", help="time no steps")
    parser.add_argument("--only", help="run only the checks whose name contains this")
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), "CPU")
        found = machine.worker("device")
        machine.kind = found["kind"]
        if machine.kind == "TPU":
            machine.strategy = ("--strategy", "tpu", "--tpu", "local")
        print(f"{found['device']}, TensorFlow {found['tensorflow']}", flush=True)
        checks = all_checks(machine, benchmarks=not args.skip_benchmarks)
        wanted = [check for check in checks if args.only is None or args.only in check.name]
        if args.only is None and machine.kind != "TPU":
            for name, (bindings, flags) in trainings(machine).items():
                machine.train_ahead(name, *bindings, flags=flags)
        rows = carry_out(wanted, machine.kind, lambda line: print(line, flush=True))
    report = {**found, "seconds": round(time.perf_counter() - started, 1), "checks": rows}
    (args.output / "accelerator.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "accelerator.md").write_text(as_markdown(report))
    failed = [row["name"] for row in rows if row["status"] == "failed"]
    print(f"{len(rows)} checks, {len(failed)} failed, {report['seconds']:.0f} s: {args.output}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
