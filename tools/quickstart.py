"""From real video clips to a trained, evaluated and exported model and pictures of its predictions.

`make quickstart` runs this. It fetches a few short clips, runs the four commands on them as anybody
would type them, and shows what came of it. Run again, it goes on where it stopped.

Usage:
    python tools/quickstart.py [--output quickstart] [--gin_bindings BINDING ...]
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from trivd_tf.cli.tensorflow_log import import_tensorflow  # noqa: E402

# The configuration holds out the last fifth of every clip; the shown prediction starts in it.
HELD_OUT = 0.2
SHOWN_CLIP = "bikes.mp4"


def main(arguments: list[str] | None = None) -> int:
    """Runs every stage; returns the exit status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("quickstart"))
    parser.add_argument("--gin_bindings", action="append", default=[])
    options = parser.parse_args(arguments)
    folder = options.output
    clips, model, exported = folder / "clips", folder / "model", folder / "exported"
    predictions = folder / "predictions"
    bindings = [f"--gin_bindings={binding}" for binding in options.gin_bindings]
    started = time.monotonic()
    try:
        run("clips", [sys.executable, str(ROOT / "tools/fetch_quickstart_clips.py")], clips)
        train = ["train", "--gin_file", "quickstart", "--data_dir", str(clips)]
        trivd("train", [*train, "--model_dir", str(model), *bindings])
        table = trivd("evaluate", ["evaluate", "--model_dir", str(model), "--untrained"])
        trivd("export", ["export", "--model_dir", str(model), "--export_dir", str(exported)])
        shown = cut_held_out(clips / SHOWN_CLIP, folder / "held_out" / SHOWN_CLIP)
        predict = ["predict", "--model", str(exported), "--num_samples", "3"]
        paths = trivd("predict", [*predict, str(shown), "--output", str(predictions)])
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(summary(table, paths.split(), exported, time.monotonic() - started))
    return 0


def run(name: str, command: list[str], output: Path) -> None:
    """Runs a stage that is no `trivd` command and writes to `output`."""
    say(f"{name}: {shlex.join([Path(command[1]).name, '--output', str(output)])}")
    subprocess.run([*command, "--output", str(output)], check=True)


def trivd(name: str, arguments: list[str]) -> str:
    """Runs a `trivd` command in a process of its own; returns what it printed."""
    say(f"{name}: {shlex.join(['trivd', *arguments])}")
    started = time.monotonic()
    command = [sys.executable, "-m", "trivd_tf", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    say(f"{name} took {time.monotonic() - started:.0f} s")
    return done.stdout


def say(line: str) -> None:
    """A line about the stages, apart from what they print themselves."""
    print(f"[quickstart] {line}", flush=True)


def cut_held_out(clip: Path, output: Path) -> Path:
    """Writes the end of a clip, which training never saw, as a clip of its own."""
    import_tensorflow()
    import numpy as np

    from trivd_tf.data import decode_frames
    from trivd_tf.pictures.video_io import write_mp4

    frames = np.stack(list(decode_frames(clip)))
    held_out = frames[round(len(frames) * (1 - HELD_OUT)) :]
    return write_mp4(output, held_out, frame_rate=25.0, quality=10)


def summary(table: str, paths: list[str], exported: Path, seconds: float) -> str:
    """What a newcomer should look at, and the command to go on with."""
    own = ["trivd", "predict", "--model", str(exported), "YOUR_CLIP.mp4", "--output", "my_futures"]
    return "\n".join(
        [
            "",
            table.rstrip(),
            "",
            "Predictions from frames that training never saw:",
            *(f"  {path}" for path in paths),
            f"The exported model: {exported}",
            "",
            "Predict a clip of your own:",
            f"  .venv/bin/{shlex.join(own)}",
            "",
            f"Done in {seconds / 60:.1f} minutes.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
