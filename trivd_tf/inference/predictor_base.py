"""What every predictor does, whatever runs the model: samples, latents, long futures, checks."""

import abc
import difflib
from collections.abc import Sequence

import numpy as np

from trivd_tf.base import pixels
from trivd_tf.base.errors import InputError
from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.inference.latents import check_whole, latents

Labels = int | Sequence[int] | np.ndarray | None

_FLOAT_SLACK = 1e-3  # of floats beyond [-1, 1], from arithmetic
_CLIPS_AT_ONCE = 16  # bounds memory, whatever the number of clips and samples


class Predictor(abc.ABC):
    """Predicts futures; all kinds give the same answer to the same seed.

    Clips are uint8 in [0, 255], or floats in [-1, 1]; frames come back in the same type. Models
    work on bytes: floats are rounded to the nearest of 256 levels on their way in, and futures
    have these levels too.

    Attributes:
        num_conditioning_frames: Tc, frames that a prediction starts from.
        num_predicted_frames: T, the trained horizon.
        frame_size: side of the square frames, or (height, width); H x W below.
        latent_size: length of z.
        has_motion: whether the model has a motion field.
        stride: every stride-th frame of a video was used in training.
        fps: frames a second that videos are brought to first; None takes every coded frame.
        num_classes: of a model that was trained with class labels; 1 without, None where only
            the server that runs the model knows.
        class_names: of those classes, in their order; empty where they are not known.
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
        """One horizon of a few clips: `[M, Tc, S, S, 3]` and `[M, latent_size]` to frames, flow.

        `labels` are int32 `[M]`; None for a model without classes.
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
        """One future a clip.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            seed: of the latents; each clip of the batch has its own.
            truncation: latents beyond this are redrawn; 0 is z = 0, None or infinity no truncation.
            num_frames: how many frames; None is T. Beyond T, predicted frames are fed back as
                conditioning, with the same latent.
            labels: the class of each clip, or one for all, for a model with classes; None is 0.

        Returns:
            `[B, num_frames, S, S, 3]`, of the type of `conditioning`.

        Raises:
            InputError: a value out of range; the message names it.
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
        """As `predict`, with the motion field float32 `[B, num_frames, S, S, 2]`.

        The field holds (dy, dx) in pixels from a pixel to where its value comes from: what moves,
        moves by its negative.

        Raises:
            InputError: also when the model has no motion field.
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
        """Several futures a clip.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            num_samples: N, futures of each clip.
            seed, truncation, num_frames, labels: as in `predict`. Sample s of a clip does not
                depend on how many samples are drawn.

        Returns:
            `[B, N, num_frames, S, S, 3]`, of the type of `conditioning`.

        Raises:
            InputError: a value out of range; the message names it.

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
        """As `predict_samples`, with flow `[B, num_samples, num_frames, S, S, 2]`."""
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
        """One future a clip from latents of the caller.

        Args:
            conditioning: uint8, or floats in [-1, 1], `[B, Tc, S, S, 3]`.
            z: `[B, latent_size]`, finite.
            num_frames: as in `predict`.
            labels: as in `predict`.
            with_motion: also compute the motion field.
            one_by_one: compute each clip alone. Its future then is the same to the last bit
                whatever else is asked for; in a batch, sums are added up in an order that depends
                on the size of the batch, and single bytes differ by one grey level.

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
        """`predict_samples` or `predict_samples_with_motion`; without motion the flow is None."""
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
        """Horizon after horizon: what is fed back are the bytes that the user sees."""
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
        """The class that a name, or a number from 0 on, stands for; raises `InputError`."""
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
        """int32 `[num_clips]`, or None for a model without classes."""
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
        """Checked conditioning frames as uint8, and the type that they came in."""
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
    """uint8 frames in the type that was asked in."""
    return frames if kind == np.uint8 else pixels.to_float(frames).astype(kind)
