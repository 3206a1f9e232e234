"""Rebuilds a model shipped with the package from scratch.

Prepares the data, trains, exports with 16-bit weights, scores the export itself, and adds the files
that `--start_from` and the tests need. Running it again after an interruption resumes, on a GPU as
on a CPU.

Usage:
    python tools/pretrain.py digits --minutes 60
    python tools/pretrain.py walks --minutes 600
    python tools/pretrain.py small --videos sample-videos --start_from walks --minutes 600
    python tools/pretrain.py walks --minutes 0        # export and score the current checkpoint

The real clips of `small` are those of github.com/intel-iot-devkit/sample-videos (CC BY 4.0). Any
folder of videos works; the end of each video is held out.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

WALKS = "walks32"
PREPARE_WALKS = ["prepare", "freedom_walks", "--frames", "96000", "--size", "32"]
FREEDOOM = (
    "Walks through the maps of Freedoom (freedoom.github.io, BSD-3-Clause), recorded with ViZDoom "
    "(github.com/Farama-Foundation/ViZDoom, MIT) by `trivd prepare freedom_walks --frames 96000 "
    "--size 32`."
)
DIGITS = (
    "The handwritten digits that come with scikit-learn (BSD-3-Clause): the test part of UCI's "
    "Optical Recognition of Handwritten Digits by E. Alpaydin and C. Kaynak (CC BY 4.0)."
)
CLIPS = (
    "The beginnings (four fifths) of real clips from github.com/intel-iot-devkit/sample-videos, "
    "Creative Commons Attribution 4.0 International, resized to 32 pixels; the ends are held out. "
    "The clips show people; they were recorded as samples for computer vision."
)
SOURCES = {"digits": [DIGITS], "walks": [FREEDOOM], "small": [CLIPS, FREEDOOM, DIGITS]}
REST = {"small": " --videos sample-videos --start_from walks"}  # of the command in the card
LARGEST = 25e6  # bytes
NUM_CLIPS = 8
CHECKSUMS = "SHA256SUMS"


def main(arguments: list[str] | None = None) -> int:
    """Run the remaining stages; return the exit status of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SOURCES)
    parser.add_argument("--work", type=Path, default=Path("runs/pretrained"))
    parser.add_argument("--output", type=Path, default=ROOT / "export" / "pretrained")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, now")
    parser.add_argument("--videos", type=Path, help="small: the folder of real clips")
    parser.add_argument("--start_from", help="first weights, as of `trivd train`: small <- walks")
    parser.add_argument("--num_samples", type=int, default=256, help="clips that are scored")
    options = parser.parse_args(arguments)
    if options.name == "small" and options.videos is None:
        parser.error("small needs --videos, a folder of real clips")
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    model, exported = work / options.name, options.output.resolve() / options.name
    try:
        if options.name != "digits" and not (work / WALKS / "report.json").exists():
            trivd([*PREPARE_WALKS, "--output", WALKS], work)
        if options.minutes > 0:
            train(options.name, model, options.videos, options.minutes, options.start_from)
        export = ["export", "--model_dir", str(model), "--export_dir", str(exported)]
        trivd([*export, "--weight_type", "float16", "--no_archive"], work)
        scores = work / f"{options.name}_scores"
        score = ["evaluate", "--model", str(exported), "--figures", "--output", str(scores)]
        trivd([*score, "--num_samples", str(options.num_samples)], work)
    except subprocess.CalledProcessError as error:
        return error.returncode
    complete(options.name, model, exported, scores)
    size = sum(path.stat().st_size for path in exported.rglob("*") if path.is_file())
    print(f"{exported}: {size / 1e6:.1f} MB")
    return 0 if size <= LARGEST else 1


def trivd(arguments: list[str], work: Path) -> None:
    """Run a `trivd` command in `work`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "trivd_tf", *arguments]
    subprocess.run(command, check=True, cwd=work, env=environment)


def train(
    name: str, model: Path, videos: Path | None, minutes: float, start_from: str | None
) -> None:
    """Train for `minutes`; SIGTERM makes `trivd train` save and exit."""
    command = [sys.executable, "-m", "trivd_tf", "train", "--model_dir", str(model)]
    command += ["--gin_file", f"pretrained_{name}"]
    if name != "digits":
        command += ["--gin_bindings", f"data.FreedomWalks.data_dir = '{WALKS}'"]
    if videos is not None:
        command += ["--gin_bindings", f"data.VideoFolder.data_dir = '{videos.resolve()}'"]
    if start_from is not None and not model.exists():
        command += ["--start_from", start_from]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=model.parent, env=environment)
    deadline = time.monotonic() + 60 * minutes
    try:
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(1)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    status = process.wait()
    if status not in (0, 128 + signal.SIGTERM):
        raise subprocess.CalledProcessError(status, command)


def complete(name: str, model: Path, exported: Path, scores: Path) -> None:
    """Add discriminators, held-out clips, card and scores to the export."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    import_tensorflow()
    import numpy as np

    from trivd_tf import config
    from trivd_tf.base.shipped import DISCRIMINATORS, HELD_OUT_CLIPS
    from trivd_tf.runs import start

    os.chdir(model.parent)  # the configuration's folders are relative to it
    experiment = config.load_run(model)
    step = json.loads((exported / "export.json").read_text())["step"]
    start.copy_discriminators(experiment, model, step, exported / DISCRIMINATORS)
    experiment.data.prepare(experiment.clip)
    clips = experiment.data.evaluation_clips(
        experiment.clip, split="test", num_clips=NUM_CLIPS, batch_size=NUM_CLIPS
    )
    np.savez_compressed(exported / HELD_OUT_CLIPS, clips=next(iter(clips))["video"].numpy())
    write_card(name, exported, scores)
    # Remove the local folders of the data from the published configuration.
    saved = exported / "config.gin"
    saved.write_text(re.sub(r"(data_dir = ')[^']*/", r"\1", saved.read_text()))
    write_checksums(exported)


def write_checksums(exported: Path) -> None:
    """Write SHA-256 of every file, in the format of `sha256sum --check`."""
    paths = [path for path in sorted(exported.rglob("*")) if path.is_file()]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(exported)}\n"
        for path in paths
        if path.name != CHECKSUMS
    ]
    (exported / CHECKSUMS).write_text("".join(lines))


def write_card(name: str, exported: Path, scores: Path) -> None:
    """Write scores, sources and licenses into the model card, and the report beside it."""
    report = (scores / "report.md").read_text()
    (exported / "report.json").write_text((scores / "report.json").read_text())
    card = (exported / "README.md").read_text()
    head, _, rest = card.partition("## Scores\n")
    rest = rest[rest.index("## Training\n") :]
    sources = "\n".join(f"- {text}" for text in SOURCES[name])
    licence = (
        "The weights and this card are under the licence of the repository (Apache 2.0); of what "
        "they learned from, the attributions above are to be kept."
    )
    made = f"`python tools/pretrain.py {name}{REST.get(name, '')}` makes the model again."
    (exported / "README.md").write_text(
        f"{head}## Scores\n\n{report.strip()}\n\nOf exactly these 16-bit weights.\n\n"
        f"## What it learned from\n\n{sources}\n\n{licence}\n\n{made}\n\n{rest}"
    )


if __name__ == "__main__":
    sys.exit(main())
