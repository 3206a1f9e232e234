"""Video files to predicted futures on disk: what `trivd predict` does."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.progress import track
from trivd_tf.inference.latents import check_truncation
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.pictures import figures, video_io
from trivd_tf.pictures.figures import Prediction

_WATCHABLE_SIDE = 256  # smallest side of a lone future's video, in pixels


@dataclasses.dataclass(frozen=True)
class PredictedFile:
    """What became of one input.

    Attributes:
        path: the input.
        outputs: files written, by kind: `gif` and `mp4` (everything side by side), `sheet` (frames
            over time), `motion` (where the model has a motion field), `sample_1` ... (each future
            alone, after the frames it was given).
        error: why there is no output, one line that names the input; None where all went well.
        prediction: what the outputs show; None after an error.
    """

    path: Path
    outputs: dict[str, Path] = dataclasses.field(default_factory=dict)
    error: str | None = None
    prediction: Prediction | None = None


def predict_files(
    predictor: Predictor,
    paths: Iterable[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    *,
    num_samples: int = 1,
    truncation: float | None = None,
    seed: int = 0,
    num_frames: int | None = None,
    window: str = "first",
    label: int | None = None,
    progress: bool = True,
) -> list[PredictedFile]:
    """Predicts futures of every clip; one bad file never stops the others.

    Args:
        predictor: from `load_predictor` or a server.
        paths: video files, of any container, size, aspect and frame rate.
        output_dir: where the pictures go, made where needed; `clip.mp4` gives `clip.gif`,
            `clip.mp4`, `clip.png` and so on, `clip-2.*` where a second input has the same name.
        num_samples: futures a clip.
        truncation: as in `Predictor.predict`.
        seed: as in `Predictor.predict`; every clip is predicted as if it were alone.
        num_frames: length of a future; None is the trained horizon.
        window: `first` predicts from the first frames of a clip (the real continuation is shown
            beside), `last` from its last ones.
        label: class of all clips, for a model with classes; None is class 0.
        progress: show a progress bar.

    Returns:
        One result an input, in their order.

    Raises:
        InputError: an option is out of range.
        RunError: `output_dir` cannot be written, or the server is lost; nothing can follow then.
    """
    _check_options(num_samples, truncation, num_frames, window)
    inputs = [Path(path) for path in paths]
    results = []
    items: Iterable[tuple[Path, str]] = list(zip(inputs, _unique_stems(inputs), strict=True))
    for path, stem in track(items, "predicting", unit="clip") if progress else items:
        try:
            clip = _read(predictor, path, num_frames, window)
        except InputError as error:
            results.append(PredictedFile(path, error=str(error)))
            continue
        prediction = predict_clip(
            predictor,
            clip,
            num_samples=num_samples,
            truncation=truncation,
            seed=seed,
            num_frames=num_frames,
            label=label,
        )
        outputs = write_prediction(Path(output_dir), stem, prediction, clip.frame_rate)
        results.append(PredictedFile(path, outputs=outputs, prediction=prediction))
    return results


def predict_clip(
    predictor: Predictor,
    clip: video_io.Clip,
    *,
    num_samples: int = 1,
    truncation: float | None = None,
    seed: int = 0,
    num_frames: int | None = None,
    label: int | None = None,
) -> Prediction:
    """Futures of one clip that was read, with their motion where the model has it."""
    futures, flow = predictor.samples(
        clip.conditioning[None],
        num_samples=num_samples,
        seed=seed,
        truncation=truncation,
        num_frames=num_frames,
        labels=label,
        with_motion=predictor.has_motion,
    )
    return Prediction(
        conditioning=clip.conditioning,
        futures=futures[0],
        continuation=clip.continuation if len(clip.continuation) else None,
        flow=None if flow is None else flow[0],
    )


def write_prediction(
    output_dir: Path, stem: str, prediction: Prediction, frame_rate: float
) -> dict[str, Path]:
    """Writes every picture of one prediction; returns the paths by kind (`PredictedFile`)."""
    moving = figures.animation(prediction)
    base = output_dir / stem
    outputs = {
        "gif": video_io.write_gif(f"{base}.gif", moving, frame_rate=frame_rate),
        "mp4": video_io.write_mp4(f"{base}.mp4", moving, frame_rate=frame_rate),
        "sheet": video_io.write_png(f"{base}.png", figures.contact_sheet(prediction)),
    }
    if prediction.flow is not None:
        picture = figures.motion_sheet(prediction)
        outputs["motion"] = video_io.write_png(f"{base}_motion.png", picture)
    for index, future in enumerate(prediction.futures):
        frames = np.concatenate([prediction.conditioning, future])
        outputs[f"sample_{index + 1}"] = video_io.write_mp4(
            f"{base}_sample_{index + 1}.mp4",
            video_io.upscale(frames, smallest_side=_WATCHABLE_SIDE, method="bicubic"),
            frame_rate=frame_rate,
        )
    return outputs


def _read(predictor: Predictor, path: Path, num_frames: int | None, window: str) -> video_io.Clip:
    return video_io.read_clip(
        path,
        num_conditioning_frames=predictor.num_conditioning_frames,
        size=predictor.frame_size,
        num_continuation_frames=num_frames or predictor.num_predicted_frames,
        window=window,
        stride=predictor.stride,
    )


def _check_options(
    num_samples: int, truncation: float | None, num_frames: int | None, window: str
) -> None:
    """Before any work, so that a wrong option is not reported once a file."""
    check_truncation(truncation)
    if num_samples < 1:
        raise InputError(f"num_samples must be at least 1; received {num_samples}")
    if num_frames is not None and num_frames < 1:
        raise InputError(f"num_frames must be at least 1; received {num_frames}")
    if window not in ("first", "last"):
        raise InputError(f"window must be 'first' or 'last'; received {window!r}")


def _unique_stems(paths: list[Path]) -> list[str]:
    """File names without their ending, numbered from the second of the same name on."""
    taken: set[str] = set()
    stems = []
    for path in paths:
        stem, number = path.stem or "clip", 1
        while stem in taken:
            number += 1
            stem = f"{path.stem or 'clip'}-{number}"
        taken.add(stem)
        stems.append(stem)
    return stems
