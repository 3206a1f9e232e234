"""Selection of a report's pictures, and the predictions shown in them."""

import dataclasses
import pathlib

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.model_files import CLIPS_SHOWN
from trivd_tf.evaluation.clips import RealClips, batches_of
from trivd_tf.evaluation.reporting import plots
from trivd_tf.evaluation.reporting.report import MODEL_ROW, Report
from trivd_tf.experiment import Experiment
from trivd_tf.inference.latents import latents
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.pictures.figures import Prediction

KINDS = ("samples", "truncation", "best_of", "motion")
# Lower thresholds give safer pictures with less variety (docs/architecture.md, section 6).
TRUNCATIONS: dict[str, float | None] = {"none": None, "0.8": 0.8, "0": 0.0}


@dataclasses.dataclass(frozen=True)
class Pictures:
    """What a report shows besides its table; each kind takes additional time.

    Attributes:
        kinds: some of `KINDS`. `samples`: FVD over the number of samples, nearly free.
            `truncation`: the model scored twice more, and videos side by side. `best_of`: 100
            predictions of each of `best_of_clips`. `motion`: a few clips with their motion field.
        best_of_clips: number of clips for the best of l, at most all.
    """

    kinds: tuple[str, ...] = ("samples",)
    best_of_clips: int = 256

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in KINDS:
                raise InputError(f"--figures {kind}: unknown; choose from {', '.join(KINDS)}")


def draw_all(
    report: Report,
    pictures: Pictures,
    experiment: Experiment,
    predictor: Predictor,
    directory: pathlib.Path,
) -> Report:
    """Draw the selected pictures into `directory`; return the report with their file names."""
    names: dict[str, str] = {}
    options = experiment.evaluation
    if "samples" in pictures.kinds and len(report.rows[0].fvd_by_samples) > 1:
        plots.plot_by_samples(report.rows, directory / "fvd_by_samples.png")
        names["fvd_by_samples.png"] = (
            "FVD over the number of samples: small numbers bias it upwards, so that only scores at "
            "one number compare."
        )
    if report.best_of:
        plots.plot_best_of(report.best_of, directory / "best_of.png")
        names["best_of.png"] = (
            "SSIM of each predicted frame, of the future with the best mean SSIM among l "
            f"({min(pictures.best_of_clips, options.num_samples)} clips)."
        )
    if report.truncation:
        plots.plot_truncation(report.truncation, directory / "truncation.png")
        names["truncation.png"] = "FVD and IS with latents drawn from within a threshold."
    shown = next(batches_of(experiment, options.split, num_clips=_shown(experiment)))
    for index in range(len(shown)):
        names |= _draw_clip(shown.one(index), pictures, experiment, predictor, directory)
    return dataclasses.replace(report, figures=names)


def _shown(experiment: Experiment) -> int:
    return min(CLIPS_SHOWN, experiment.evaluation.num_samples)


def _draw_clip(
    clip: RealClips,
    pictures: Pictures,
    experiment: Experiment,
    predictor: Predictor,
    directory: pathlib.Path,
) -> dict[str, str]:
    """Draw the pictures of one evaluation clip, with the latents of its score."""
    skip, names = experiment.clip.num_conditioning_frames, {}
    given, following, number = clip.videos[:, :skip], clip.videos[0, skip:], clip.first + 1

    def z(truncation: float | None) -> np.ndarray:
        return latents(
            experiment.evaluation.seed,
            num_clips=1,
            num_samples=1,
            latent_size=predictor.latent_size,
            truncation=truncation,
            first_clip=clip.first,
        )[:, 0]

    if "truncation" in pictures.kinds:
        latent = np.concatenate([z(value) for value in TRUNCATIONS.values()])
        same = clip.repeated(len(latent))
        futures, _ = predictor.predict_from_z(same.videos[:, :skip], latent, labels=same.labels)
        titles = tuple(f"truncation {name}" for name in TRUNCATIONS)
        name = f"truncation_{number}.gif"
        prediction = Prediction(given[0], futures, following, labels=titles)
        plots.draw_predictions(prediction, directory / name)
        names[name] = f"Clip {number}, its latent redrawn beyond a threshold."
    if "motion" in pictures.kinds and predictor.has_motion:
        futures, flow = predictor.predict_from_z(
            given, z(None), labels=clip.labels, with_motion=True
        )
        name = f"motion_{number}.png"
        prediction = Prediction(given[0], futures, following, flow)
        plots.draw_motion(prediction, directory / name)
        names[name] = f"Clip {number}: prediction and motion field."
    return names


def truncation_scores(report: Report) -> dict[str, dict[str, float]]:
    """Return the model's scores by truncation, from the rows of a report."""
    found = {}
    for name in TRUNCATIONS:
        wanted = report.row(MODEL_ROW).name if name == "none" else truncation_row(name)
        for row in (row for row in report.rows if row.name == wanted):
            # Those of the first run: the other truncations are scored only once.
            score = row.runs[0] if row.runs else dataclasses.asdict(row)
            found[name] = {key: score[key] for key in ("fvd", "inception_score")}
    return found


def truncation_row(name: str) -> str:
    """Return the name of a truncation's row."""
    return f"truncation {name}"
