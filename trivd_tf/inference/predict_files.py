"""Predicts futures of video files and writes them to disk, for `trivd predict`."""

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.base.outputs import claimed, folded
from trivd_tf.base.progress import track
from trivd_tf.data.files import arrays
from trivd_tf.inference.latents import check_truncation, check_whole
from trivd_tf.inference.predictor_base import Predictor
from trivd_tf.pictures import figures, video_io
from trivd_tf.pictures.figures import Prediction

_WATCHABLE_SIDE = 256  # smallest side of a single future's video, in pixels

# Suffixes of the output files of one input.
_KINDS = (".gif", ".mp4", ".png")
_MOTION = "_motion.png"


@dataclasses.dataclass(frozen=True)
class PredictedFile:
    """Result of one input.

    Attributes:
        path: the input.
        outputs: files written, by kind: `gif` and `mp4` (everything side by side), `sheet` (frames
            over time), `motion` (if the model has a motion field), `sample_1` ... (each future
            alone, after its conditioning frames).
        error: the reason why there is no output, in one line that names the input; None on success.
        prediction: the prediction that the outputs show; None after an error.
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
    """Predicts futures of every clip; an unreadable file does not stop the others.

    Args:
        predictor: from `load_predictor` or a server.
        paths: video files of any container, size, aspect ratio and frame rate, folders of numbered
            pictures, and array files (`data.files.arrays`), of which every video is predicted.
        output_dir: output folder, created if needed. `clip.mp4` gives `clip.gif`, `clip.mp4`,
            `clip.png` and so on, or `clip-2.*` if another input has one of these names. All names
            are checked before the first clip is read.
        num_samples: number of futures per clip.
        truncation: as in `Predictor.predict`.
        seed: as in `Predictor.predict`; every clip is predicted as if it were alone.
        num_frames: length of a future; defaults to the trained horizon.
        window: `first` predicts from the first frames of a clip (the real continuation is shown
            beside the prediction), `last` from its last frames.
        label: class of all clips, for a model with classes; defaults to class 0.
        progress: show a progress bar.

    Returns:
        One result per input, in order.

    Raises:
        InputError: an option is out of range, or an output would replace an input or a file that
            this function did not write; nothing is written in this case.
        RunError: `output_dir` cannot be written, or the server is lost; prediction stops.
    """
    _check_options(num_samples, truncation, num_frames, window)
    inputs = [Path(name) for path in paths for name in arrays.each_video(path)]
    names = [*_KINDS, *([_MOTION] if predictor.has_motion else []), *_sample_names(num_samples)]
    stems = _unique_stems(inputs, names)
    planned = [Path(output_dir, stem + name) for stem in stems for name in names]
    items: Iterable[tuple[Path, str]] = list(zip(inputs, stems, strict=True))
    results = []
    with claimed(planned, inputs=[arrays.file_of(path) for path in inputs]):
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
    """Predicts futures of one clip, with motion if the model has a motion field."""
    futures, flow = predictor.samples(
        clip.conditioning[None],
        num_samples=num_samples,
        seed=seed,
        truncation=truncation,
        num_frames=num_frames,
        labels=label,
        with_motion=predictor.has_motion,
        one_by_one=True,  # the first of three futures equals the future predicted alone
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
    """Writes all pictures and videos of one prediction; returns their paths by kind."""
    moving = figures.animation(prediction)
    base = output_dir / stem
    outputs = {
        "gif": video_io.write_gif(f"{base}.gif", moving, frame_rate=frame_rate),
        "mp4": video_io.write_mp4(f"{base}.mp4", moving, frame_rate=frame_rate),
        "sheet": video_io.write_png(f"{base}.png", figures.contact_sheet(prediction)),
    }
    if prediction.flow is not None:
        picture = figures.motion_sheet(prediction)
        outputs["motion"] = video_io.write_png(f"{base}{_MOTION}", picture)
    names = _sample_names(len(prediction.futures))
    for index, (name, future) in enumerate(zip(names, prediction.futures, strict=True)):
        frames = np.concatenate([prediction.conditioning, future])
        outputs[f"sample_{index + 1}"] = video_io.write_mp4(
            f"{base}{name}",
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
        fps=predictor.fps,
    )


def _check_options(
    num_samples: int, truncation: float | None, num_frames: int | None, window: str
) -> None:
    """Checks options before any work, so that an error is not reported once per file."""
    check_truncation(truncation)
    check_whole("num_samples", num_samples, 1)
    if num_frames is not None:
        check_whole("num_frames", num_frames, 1)
    if window not in ("first", "last"):
        raise InputError(f"window must be 'first' or 'last'; received {window!r}")


def _sample_names(num_samples: int) -> list[str]:
    return [f"_sample_{index + 1}.mp4" for index in range(num_samples)]


def _stem(path: Path) -> str:
    """Returns a file name without its extension; `clips_3` for `clips.npy[3]`."""
    video = arrays.parse(path)
    if video is None:
        return path.stem or "clip"
    return f"{Path(video.file).stem}_{video.first}" if video.is_one_video else path.stem


def _unique_stems(paths: list[Path], names: list[str]) -> list[str]:
    """Returns one output stem per input, numbered where outputs of two inputs would collide.

    Names that differ only in case or Unicode form are the same file on some disks.
    """
    taken: set[str] = set()
    stems = []
    for path in paths:
        plain, number = _stem(path), 1
        stem = plain
        while taken & {folded(stem + name) for name in names}:
            number += 1
            stem = f"{plain}-{number}"
        taken |= {folded(stem + name) for name in names}
        stems.append(stem)
    return stems
