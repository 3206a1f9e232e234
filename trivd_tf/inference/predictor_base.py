"""Common interface of all predictors: sampling, latents, long horizons and input checks."""

import abc
import difflib
from collections.abc import Sequence

import numpy as np

from trivd_tf.base import pixels
from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.inference.latents import check_whole, latents

Labels = int | Sequence[int] | np.ndarray | None

_FLOAT_SLACK = 1e-3  # tolerance of floats beyond [-1, 1], for rounding errors
_CLIPS_AT_ONCE = 16  # bounds memory for any number of clips and samples


class Predictor(abc.ABC):
    """Predicts futures; all predictors return the same result for the same seed.

    Clips are uint8 in [0, 255], or floats in [-1, 1]; predicted frames have the same type. Models
    work on bytes: float inputs are rounded to the nearest of 256 levels, and predicted frames have
    only these levels too.

    Attributes:
        num_conditioning_frames: Tc, the number of conditioning frames.
        num_predicted_frames: T, the trained horizon.
        frame_size: side of the square frames S, or (height, width); S x S in the shapes below.
        latent_size: length of z.
        has_motion: whether the model has a motion field.
        stride: every stride-th frame of a video was used in training.
        fps: frame rate to which videos are resampled first; None uses every coded frame.
        num_classes: number of class labels; 1 for a model without labels, None if only the server
            that runs the model knows it.
        class_names: names of the classes, in order; empty if unknown.
    """

    num_conditioning_frames: int
    num_predicted_frames: int
    frame_size: FrameSize
    latent_size: int
    has_motion: bool
    stride: int = 1
    fps: float | None = None
    num_classes: int | None = 1
    class_names: tuple[str, ...] = ()

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return height_width(self.frame_size)

    @abc.abstractmethod
    def _run(
        self, conditioning: np.ndarray, z: np.ndarray, labels: np.ndarray | None, with_motion: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Runs one horizon: `[M, Tc, S, S, 3]` and `[M, latent_size]` to frames and flow.

        `labels` are int32 `[M]`, or None for a model without classes.
        """

    def predict(
        self,
        conditioning: np.ndarray,
        *,
        seed: int = 0,
        truncation: float | None = None,
        num_frames: int | None = None,
        labels: Labels = None,
    ) -> np.ndarray:
        """Predicts one future per clip.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            seed: seed of the latents; each clip of the batch has its own latent.
            truncation: latents beyond this are redrawn; 0 means z = 0, None or infinity means no
                truncation.
            num_frames: number of frames; defaults to T. Beyond T, predicted frames are fed back as
                conditioning, with the same latent.
            labels: the class of each clip, or one class for all clips, for a model with classes;
                defaults to class 0.

        Returns:
            `[B, num_frames, S, S, 3]`, of the type of `conditioning`.

        Raises:
            InputError: a value is out of range; the message names it.
        """
        frames = self.predict_samples(
            conditioning,
            num_samples=1,
            seed=seed,
            truncation=truncation,
            num_frames=num_frames,
            labels=labels,
        )
        return frames[:, 0]

    def predict_with_motion(
        self,
        conditioning: np.ndarray,
        *,
        seed: int = 0,
        truncation: float | None = None,
        num_frames: int | None = None,
        labels: Labels = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, and returns the motion field float32 `[B, num_frames, S, S, 2]` too.

        The field holds (dy, dx) in pixels from each pixel to the source of its value; content
        moves by the negative of the field.

        Raises:
            InputError: as in `predict`, or the model has no motion field.
        """
        frames, flow = self.predict_samples_with_motion(
            conditioning,
            num_samples=1,
            seed=seed,
            truncation=truncation,
            num_frames=num_frames,
            labels=labels,
        )
        return frames[:, 0], flow[:, 0]

    def predict_samples(
        self,
        conditioning: np.ndarray,
        *,
        num_samples: int,
        seed: int = 0,
        truncation: float | None = None,
        num_frames: int | None = None,
        labels: Labels = None,
    ) -> np.ndarray:
        """Predicts several futures per clip.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            num_samples: N, the number of futures per clip.
            seed, truncation, num_frames, labels: as in `predict`. Sample s of a clip does not
                depend on the number of samples.

        Returns:
            `[B, N, num_frames, S, S, 3]`, of the type of `conditioning`.

        Raises:
            InputError: a value is out of range; the message names it.

        Example:
            >>> futures = trivd_tf.load("runs/mine").predict_samples(clips, num_samples=3)
            >>> futures.shape, futures.dtype
            ((2, 3, 11, 64, 64, 3), dtype('uint8'))
        """
        frames, _ = self.samples(
            conditioning,
            num_samples=num_samples,
            seed=seed,
            truncation=truncation,
            num_frames=num_frames,
            labels=labels,
        )
        return frames

    def predict_samples_with_motion(
        self,
        conditioning: np.ndarray,
        *,
        num_samples: int,
        seed: int = 0,
        truncation: float | None = None,
        num_frames: int | None = None,
        labels: Labels = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `predict_samples`, and returns flow `[B, num_samples, num_frames, S, S, 2]` too."""
        frames, flow = self.samples(
            conditioning,
            num_samples=num_samples,
            seed=seed,
            truncation=truncation,
            num_frames=num_frames,
            labels=labels,
            with_motion=True,
        )
        assert flow is not None
        return frames, flow

    def predict_from_z(
        self,
        conditioning: np.ndarray,
        z: np.ndarray,
        *,
        num_frames: int | None = None,
        labels: Labels = None,
        with_motion: bool = False,
        one_by_one: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predicts one future per clip from the latents `z`.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            z: `[B, latent_size]`, finite.
            num_frames: as in `predict`.
            labels: as in `predict`.
            with_motion: also compute the motion field.
            one_by_one: compute each clip alone, which makes its future bit-identical regardless
                of the other clips and samples. In a batch, the order of summation depends on the
                batch size, and single bytes differ by one gray level.

        Returns:
            Frames `[B, num_frames, S, S, 3]`, of the type of `conditioning`, and the flow float32
            `[B, num_frames, S, S, 2]` or None.
        """
        conditioning, kind = self._as_bytes(conditioning)
        try:
            z = np.asarray(z, np.float32)
        except (TypeError, ValueError):
            raise InputError(f"z must be numbers; received {str(z)[:40]!r}") from None
        if z.shape != (len(conditioning), self.latent_size) or not np.isfinite(z).all():
            raise InputError(
                f"z must be [{len(conditioning)}, {self.latent_size}] and finite; received shape "
                f"{z.shape}"
            )
        if with_motion and not self.has_motion:
            raise InputError(
                "this model has no motion field: its recurrent unit does not warp; use one with a "
                "TSRU, PTSRU or K-TrajGRU unit"
            )
        classes = self._check_labels(labels, len(conditioning))
        length = self.num_predicted_frames if num_frames is None else num_frames
        length = check_whole("num_frames", length, 1)
        frames, flows = [], []
        at_once = 1 if one_by_one else _CLIPS_AT_ONCE
        for start in range(0, len(conditioning), at_once):
            part = slice(start, start + at_once)
            label_part = None if classes is None else classes[part]
            predicted, flow = self._long(
                conditioning[part], z[part], label_part, length, with_motion
            )
            frames.append(predicted)
            if flow is not None:
                flows.append(flow)
        joined = _of_kind(np.concatenate(frames), kind)
        return joined, np.concatenate(flows) if with_motion else None

    def samples(
        self,
        conditioning: np.ndarray,
        *,
        num_samples: int,
        seed: int = 0,
        truncation: float | None = None,
        num_frames: int | None = None,
        labels: Labels = None,
        with_motion: bool = False,
        one_by_one: bool = False,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predicts several futures per clip; the flow is None unless `with_motion` is set."""
        conditioning, kind = self._as_bytes(conditioning)
        classes = self._check_labels(labels, len(conditioning))
        z = latents(
            seed,
            num_clips=len(conditioning),
            num_samples=num_samples,
            latent_size=self.latent_size,
            truncation=truncation,
        )
        frames, flow = self.predict_from_z(
            np.repeat(conditioning, num_samples, axis=0),
            z.reshape(-1, self.latent_size),
            num_frames=num_frames,
            labels=None if classes is None else np.repeat(classes, num_samples),
            with_motion=with_motion,
            one_by_one=one_by_one,
        )
        shape = (len(conditioning), num_samples)
        frames = _of_kind(frames.reshape(*shape, *frames.shape[1:]), kind)
        return frames, None if flow is None else flow.reshape(*shape, *flow.shape[1:])

    def _long(
        self,
        conditioning: np.ndarray,
        z: np.ndarray,
        labels: np.ndarray | None,
        length: int,
        with_motion: bool,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Chains horizons up to `length` frames; the returned bytes are fed back."""
        frames, flows, done = [], [], 0
        while done < length:
            predicted, flow = self._run(conditioning, z, labels, with_motion)
            frames.append(predicted)
            if flow is not None:
                flows.append(flow)
            done += predicted.shape[1]
            conditioning = np.concatenate([conditioning, predicted], axis=1)
            conditioning = conditioning[:, -self.num_conditioning_frames :]
        joined = np.concatenate(flows, axis=1)[:, :length] if with_motion else None
        return np.concatenate(frames, axis=1)[:, :length], joined

    def class_index(self, label: str) -> int:
        """Returns the index of a class from its name or number; raises `InputError`."""
        if label in self.class_names:
            return self.class_names.index(label)
        if label.isdecimal():
            return int(label)
        close = difflib.get_close_matches(label, self.class_names, 3)
        if close:
            hint = f"did you mean {', '.join(map(repr, close))}?"
        elif self.class_names:
            hint = f"classes are {', '.join(map(repr, self.class_names[:5]))}" + (
                f", ... ({len(self.class_names)} in all)" if len(self.class_names) > 5 else ""
            )
        else:
            hint = "give the number of a class, from 0 on"
        raise InputError(f"label {label!r} is no class of this model; {hint}")

    def _check_labels(self, labels: Labels, num_clips: int) -> np.ndarray | None:
        """Returns checked labels, int32 `[num_clips]`, or None for a model without classes."""
        if self.num_classes == 1:
            if labels is not None:
                raise InputError(
                    "received labels, but this model was trained without classes; leave them out"
                )
            return None
        given = np.asarray(0 if labels is None else labels)
        largest = 2**31 if self.num_classes is None else self.num_classes
        if not np.issubdtype(given.dtype, np.integer) or given.shape not in ((), (num_clips,)):
            raise InputError(
                f"labels must be one whole number, or one a clip ([{num_clips}]); received "
                f"{given.dtype} {list(given.shape)}"
            )
        if given.size and (given.min() < 0 or given.max() >= largest):
            raise InputError(f"labels must be from 0 to {largest - 1}; received {given.tolist()}")
        return np.broadcast_to(given, [num_clips]).astype(np.int32)

    def _as_bytes(self, conditioning: np.ndarray) -> tuple[np.ndarray, np.dtype]:
        """Returns checked conditioning frames as uint8, and their original type."""
        conditioning = np.asarray(conditioning)
        kind = conditioning.dtype
        is_float = np.issubdtype(kind, np.floating)
        wanted = (self.num_conditioning_frames, *self.frame_shape, 3)
        if (kind != np.uint8 and not is_float) or conditioning.shape[1:] != wanted:
            raise InputError(
                "conditioning frames must be uint8, or floats in [-1, 1], "
                f"[B, {', '.join(map(str, wanted))}]; received {kind} {list(conditioning.shape)}"
            )
        if not len(conditioning):
            raise InputError("conditioning frames must hold at least one clip; received none")
        if not is_float:
            return conditioning, kind
        low, high = float(conditioning.min()), float(conditioning.max())
        if not -1 - _FLOAT_SLACK <= low <= high <= 1 + _FLOAT_SLACK:
            raise InputError(
                f"conditioning frames that are floats must lie in [-1, 1]; received {low:g} to "
                f"{high:g}: use clips / 127.5 - 1 for values from 0 to 255, 2 * clips - 1 for "
                "values from 0 to 1"
            )
        return pixels.to_bytes(conditioning), kind


def _of_kind(frames: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Converts uint8 frames to the type of the conditioning frames."""
    return frames if kind == np.uint8 else pixels.to_float(frames).astype(kind)
