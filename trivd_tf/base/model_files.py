"""Names of the files in a model directory and in an export.

MODEL_DIR/
  config.gin              the run's operative configuration: every value used
  run.json                code, versions, seed, command and class names; see `runs.record`
  data.json               fingerprints and files of the data; see `runs.directory_state`
  checkpoints/            the newest checkpoints; see `training.checkpoints`
  losses.jsonl            losses of every step
  tensorboard/            summaries
  best.json, best/        scores during training, and the checkpoint with the best score
  evaluation_weights/     STEP-KEY.npz: averaged weights and standing statistics
  evaluations/            STEP/[PROTOCOL/]report.json, report.md and pictures

EXPORT_DIR/
  saved_model.pb, variables/    the SavedModel
  export.json             shapes, weights, versions
  labels.txt              class names, one per line
  config.gin              configuration of the exported run
"""

from __future__ import annotations

from pathlib import Path

from trivd_tf.base.storage import RunName, RunPath, run_folder

CONFIG = "config.gin"
RECORD = "run.json"
DATA = "data.json"
CHECKPOINTS = "checkpoints"
LOSSES = "losses.jsonl"
TENSORBOARD = "tensorboard"
BEST_RECORD, BEST = "best.json", "best"
EVALUATION_WEIGHTS = "evaluation_weights"
EVALUATIONS, REPORT = "evaluations", "report.json"

SAVED_MODEL = "saved_model.pb"
EXPORT_RECORD = "export.json"
LABELS = "labels.txt"

CLIPS_SHOWN = 4  # in the pictures of a report


def report_files(folder: Path) -> list[Path]:
    """Returns the paths of all files that an evaluation report may consist of."""
    names = [REPORT, "report.md", "fvd_by_samples.png", "best_of.png", "truncation.png"]
    for number in range(1, CLIPS_SHOWN + 1):
        names += [f"truncation_{number}.gif", f"motion_{number}.png"]
    return [folder / name for name in names]


def is_export(path: RunName) -> bool:
    """Returns whether `path` is a directory written by `trivd export`, or another SavedModel."""
    return (run_folder(path) / SAVED_MODEL).is_file()


def has_checkpoint(model_dir: RunPath) -> bool:
    """Returns whether a run has saved a checkpoint; until then its configuration may change."""
    return any((model_dir / CHECKPOINTS).glob("*.index"))


def is_model_dir(path: RunName) -> bool:
    """Returns whether `path` is a directory written by `trivd train` or `trivd_tf.train`."""
    return (run_folder(path) / CONFIG).is_file()
