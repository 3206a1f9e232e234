"""Runs the whole workflow on four real clips, from a shipped model to your own model.

`make quickstart` runs this. The shipped model `small` continues held-out frames of the clips. Then
it is trained further on the beginnings of the clips, scored and exported, and predicts again, using
the same commands that a user would type. Running it again after an interruption resumes.

Usage:
    python tools/quickstart.py [--output quickstart] [--from_scratch] [--gin_bindings BINDING ...]

`--from_scratch` instead trains a very small model from scratch, to check that everything works.
"""

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from trivd_tf.base import shipped  # noqa: E402
from trivd_tf.cli.tensorflow_log import import_tensorflow  # noqa: E402

# The configuration holds out the last fifth of every clip, where the displayed prediction starts.
HELD_OUT = 0.2
SHOWN_CLIP = "bikes.mp4"
MODEL = "small"


def main(arguments: list[str] | None = None) -> int:
    """Run every stage; return the exit status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("quickstart"))
    parser.add_argument("--from_scratch", action="store_true", help="train without `small`")
    parser.add_argument("--gin_bindings", action="append", default=[])
    options = parser.parse_args(arguments)
    if not options.from_scratch and MODEL not in shipped.shipped_models():
        say(f"export/pretrained holds no {MODEL}: training from scratch")
        options.from_scratch = True
    started = time.monotonic()
    try:
        lines = stages(options)
    except subprocess.CalledProcessError as error:
        return error.returncode
    print("\n".join([*lines, "", f"Done in {(time.monotonic() - started) / 60:.1f} minutes."]))
    return 0


def stages(options: argparse.Namespace) -> list[str]:
    """Run all stages, from the clips to the last predictions; return the lines of the summary."""
    folder = options.output / "from_scratch" if options.from_scratch else options.output
    clips, model, exported = options.output / "clips", folder / "model", folder / "exported"
    bindings = [f"--gin_bindings={binding}" for binding in options.gin_bindings]
    run("clips", [sys.executable, str(ROOT / "tools/fetch_quickstart_clips.py")], clips)
    shown = cut_held_out(clips / SHOWN_CLIP, options.output / "held_out" / SHOWN_CLIP)
    train = ["train", "--data_dir", str(clips), "--model_dir", str(model)]
    reports = [report_of(model)]
    if options.from_scratch:
        trivd("train", [*train, "--gin_file", "quickstart", *bindings])
    else:
        first = predict(MODEL, shown, folder / "before")
        say(f"`{MODEL}` as shipped: {first[0]}")
        gin = ["--gin_file", "quickstart_from_small"]
        trivd("train", [*train, *gin, "--start_from", MODEL, *bindings])
        scores = folder / "before" / "scores"
        score = ["evaluate", "--model", MODEL, *gin, "--data_dir", str(clips), *bindings]
        trivd("evaluate", [*score, "--figures", "--output", str(scores)])
        reports.append(lambda: scores / "report.json")
    trivd("evaluate", ["evaluate", "--model_dir", str(model), "--untrained"])
    trivd("export", ["export", "--model_dir", str(model), "--export_dir", str(exported)])
    paths = predict(str(exported), shown, folder / "predictions")
    return summary(table([find() for find in reports]), paths, exported)


def report_of(model: Path):
    """Return the newest report of a model directory."""
    reports = model / "evaluations"
    return lambda: max(reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime)


def predict(model: str, clip: Path, output: Path) -> list[str]:
    """Predict three futures of a clip; return the paths of the pictures."""
    command = ["predict", "--model", model, "--num_samples", "3", str(clip)]
    return trivd("predict", [*command, "--output", str(output)]).split()


def run(name: str, command: list[str], output: Path) -> None:
    """Run a stage that is no `trivd` command and writes to `output`."""
    say(f"{name}: {shlex.join([Path(command[1]).name, '--output', str(output)])}")
    subprocess.run([*command, "--output", str(output)], check=True)


def trivd(name: str, arguments: list[str]) -> str:
    """Run a `trivd` command in a separate process; return its output."""
    say(f"{name}: {shlex.join(['trivd', *arguments])}")
    started = time.monotonic()
    command = [sys.executable, "-m", "trivd_tf", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    say(f"{name} took {time.monotonic() - started:.0f} s")
    return done.stdout


def say(line: str) -> None:
    """Print a line about the stages, distinct from their own output."""
    print(f"[quickstart] {line}", flush=True)


def cut_held_out(clip: Path, output: Path) -> Path:
    """Write the held-out end of a clip as a separate clip."""
    import_tensorflow()
    import numpy as np

    from trivd_tf.data import decode_frames
    from trivd_tf.pictures.video_io import write_mp4

    frames = np.stack(list(decode_frames(clip)))
    held_out = frames[round(len(frames) * (1 - HELD_OUT)) :]
    return write_mp4(output, held_out, frame_rate=25.0, quality=10)


def table(reports: list[Path]) -> str:
    """Return one table of the reports' rows; a second report is that of `small` itself."""
    first, *others = (json.loads(path.read_text()) for path in reports)
    rows = {row["name"]: row for row in first["rows"]}
    for report in others:
        came = next(row for row in report["rows"] if row["name"].startswith("model"))
        rows = {f"{MODEL}, as shipped": came, **rows}
    lines = ["| | FVD | PSNR dB | SSIM |", "|---|---:|---:|---:|"]
    for name, row in rows.items():
        psnr, ssim = (mean(row["by_frame"][key]) for key in ("psnr", "ssim"))
        lines.append(f"| {name} | {row['fvd']:.1f} | {psnr:.2f} | {ssim:.3f} |")
    return "\n".join(lines)


def mean(values: list[float]) -> float:
    """Return the mean of per-frame scores."""
    return sum(values) / len(values)


def summary(table: str, paths: list[str], exported: Path) -> list[str]:
    """Return the lines of the summary: results, and the next command to try."""
    own = ["trivd", "predict", "--model", str(exported), "YOUR_CLIP.mp4", "--output", "my_futures"]
    return [
        "",
        table,
        "",
        "Predictions from frames that training never saw:",
        *(f"  {path}" for path in paths),
        f"The exported model: {exported}",
        "",
        "Predict a clip of your own:",
        f"  .venv/bin/{shlex.join(own)}",
    ]


if __name__ == "__main__":
    sys.exit(main())
