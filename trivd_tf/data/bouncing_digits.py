"""Bouncing digits: handwritten digits that move in the frame and bounce off its sides."""

import dataclasses
import functools

import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data import permutation, pipeline
from trivd_tf.data.clips import ClipSpec, identity, require_fraction, require_integer
from trivd_tf.data.source import ClipSource, check_split, digest

_VERSION = 1  # version of the drawing; part of the fingerprint
_MARGIN = 1  # blank source pixels around a digit, so that its blurred edge is not cut off
_PATCH = 8 + 2 * _MARGIN
_STEPS = 8  # positions are multiples of 1/8 pixel, so that resampling weights come from a table
_NUM_EVALUATION_CLIPS = 1_000_000
_EVALUATION_SEED = 20_200_309
_WHICH, _ROW, _COLUMN, _DIRECTION, _SPEED = range(5)  # streams of random numbers


@functools.cache
def _digit_images() -> np.ndarray:
    """Returns the 1,797 digits of scikit-learn, float32 `[1797, 10, 10]`, maximum value 1."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32)
    images /= images.max(axis=(1, 2), keepdims=True)
    return np.pad(images, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)))


def _mitchell(x: np.ndarray) -> np.ndarray:
    """Mitchell and Netravali's cubic filter: smooth, and it preserves the center of mass."""
    x = np.abs(x)
    near = 7 / 6 * x**3 - 2 * x**2 + 8 / 9
    far = -7 / 18 * x**3 + 2 * x**2 - 10 / 3 * x + 16 / 9
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


@functools.cache
def _weights(size: int, side: int) -> np.ndarray:
    """Returns resampling weights of all positions on one axis: float32 `[positions, size, 10]`.

    Entry [p, y, r] is the weight of the digit's row r in row y of the frame when the digit's patch,
    `side` pixels high, begins at p / 8 pixels.
    """
    first = np.arange((size - side) * _STEPS + 1)[:, None, None] / _STEPS
    row = np.arange(size)[None, :, None] + 0.5
    source = (row - first) * _PATCH / side - 0.5
    return _mitchell(source - np.arange(_PATCH)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class _Motion:
    """Digits and positions of clips: `[b, D]` images, `[b, T, D]` positions in 1/8 pixels."""

    images: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


class BouncingDigits(ClipSource):
    """Endless gray clips of handwritten digits that move straight and bounce off the sides.

    The digits are scikit-learn's 8 x 8 images, drawn smoothly at sub-pixel positions; a fifth of
    the images is used for testing only. Clip i depends only on the seed and i. With one digit (the
    default), the center of the bright pixels is the digit's center, so that the distance between
    predicted and real centers measures predicted motion; see `digit_centers`.

    Args:
      num_digits: number of digits in a clip; they pass through each other.
      digit_size: side of a digit's patch (with a margin of a tenth on each side), as a fraction of
        the frame's smallest side.
      min_speed: minimum speed, in smallest sides per frame.
      max_speed: maximum speed. At the defaults, a digit crosses its range in 8 to 17 frames, so
        the last conditioning frame soon becomes a bad prediction.
      test_fraction: fraction of the digit images that only test clips show.
    """

    name = "bouncing_digits"

    def __init__(
        self,
        *,
        num_digits: int = 1,
        digit_size: float = 0.5,
        min_speed: float = 0.03,
        max_speed: float = 0.06,
        test_fraction: float = 0.2,
    ):
        require_integer("BouncingDigits", "num_digits", num_digits, 1)
        require_fraction("BouncingDigits", "digit_size", digit_size)
        require_fraction("BouncingDigits", "test_fraction", test_fraction)
        if not 0 <= min_speed <= max_speed <= 0.5:
            raise InputError(
                f"BouncingDigits needs 0 <= min_speed <= max_speed <= 0.5 frame sides a frame; "
                f"received min_speed {min_speed!r}, max_speed {max_speed!r}"
            )
        self._num_digits = num_digits
        self._digit_size = digit_size
        self._min_speed = min_speed
        self._max_speed = max_speed
        self._test_fraction = test_fraction

    @property
    def num_digits(self) -> int:
        """Number of digits in a clip."""
        return self._num_digits

    def prepare(self, clip: ClipSpec) -> None:
        if clip.fps is not None:
            raise InputError(
                f"bouncing digits have no time stamps; received data.ClipSpec.fps = {clip.fps}: "
                "leave it out, or set data.ClipSpec.stride"
            )
        self._weights(clip)
        _digit_images()

    def num_evaluation_clips(self, clip: ClipSpec, split: str) -> int:
        check_split(split)
        return _NUM_EVALUATION_CLIPS

    def fingerprint(self, clip: ClipSpec, split: str) -> str:
        check_split(split)
        options = {name: value for name, value in vars(self).items() if name.startswith("_")}
        return f"{self.name}-{split}-{digest(_VERSION, options, identity(clip), split)}"

    def evaluation_centers(self, clip: ClipSpec, *, split: str, num_clips: int) -> np.ndarray:
        """Returns the true centers of mass in the first `num_clips` evaluation clips.

        Returns:
          float32 `[num_clips, T, num_digits, 2]`: (row, column) in pixels, where 0 is the center of
          the first pixel.
        """
        check_split(split)
        motion = self._motion(clip, split, _evaluation_seed(split), np.arange(num_clips))
        return self._centers(clip, motion)

    def _side(self, clip: ClipSpec) -> int:
        return max(4, round(self._digit_size * min(clip.height, clip.width)))

    def _weights(self, clip: ClipSpec) -> tuple[np.ndarray, np.ndarray]:
        """Returns the resampling weights of rows and columns."""
        side = self._side(clip)
        return _weights(clip.height, side), _weights(clip.width, side)

    def _training_batch(self, clip: ClipSpec, seed: int, indices: np.ndarray) -> pipeline.Batch:
        return self._draw(clip, self._motion(clip, "train", seed, indices))

    def _evaluation_batch(self, clip: ClipSpec, split: str, indices: np.ndarray) -> pipeline.Batch:
        return self._draw(clip, self._motion(clip, split, _evaluation_seed(split), indices))

    def _images_of(self, split: str) -> np.ndarray:
        """Returns the indices of the digit images that a split shows."""
        numbers = np.arange(len(_digit_images()))
        is_test = np.diff(np.floor(np.arange(len(numbers) + 1) * self._test_fraction)) > 0
        return numbers[is_test if split == "test" else ~is_test]

    def _motion(self, clip: ClipSpec, split: str, seed: int, indices: np.ndarray) -> _Motion:
        digit = np.arange(self._num_digits)

        def draw(stream: int) -> np.ndarray:
            return permutation.uniform(seed, indices[:, None], digit, stream)

        choices = self._images_of(split)
        images = choices[(draw(_WHICH) * len(choices)).astype(np.int64)]
        angle = 2 * np.pi * draw(_DIRECTION)
        speed = self._min_speed + (self._max_speed - self._min_speed) * draw(_SPEED)
        step = speed * min(clip.height, clip.width) * clip.stride
        time = np.arange(clip.num_frames)[:, None]

        def path(length: int, start: np.ndarray, velocity: np.ndarray) -> np.ndarray:
            room = length - self._side(clip)
            straight = start[:, None] * room + velocity[:, None] * time
            bounced = room - np.abs(np.mod(straight, 2 * room) - room)
            return np.rint(bounced * _STEPS).astype(np.int64)

        return _Motion(
            images,
            path(clip.height, draw(_ROW), step * np.sin(angle)),
            path(clip.width, draw(_COLUMN), step * np.cos(angle)),
        )

    def _draw(self, clip: ClipSpec, motion: _Motion) -> pipeline.Batch:
        rows, columns = self._weights(clip)
        # Drawing is separable: frame = rows . digit . columns^T.
        digits = _digit_images()[motion.images][:, None]
        frames = rows[motion.rows] @ digits @ columns[motion.columns].swapaxes(-1, -2)
        grey = np.clip(frames, 0, None).sum(axis=2) if self._num_digits > 1 else frames[:, :, 0]
        grey = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
        video = np.repeat(grey[..., None], 3, axis=-1)
        return video, np.zeros(len(video), np.int32)

    def _centers(self, clip: ClipSpec, motion: _Motion) -> np.ndarray:
        images = _digit_images()[motion.images]
        mass = images.sum(axis=(-1, -2))
        axis = np.arange(_PATCH)
        scale = self._side(clip) / _PATCH
        own_row = ((images.sum(axis=-1) @ axis / mass) + 0.5) * scale - 0.5
        own_column = ((images.sum(axis=-2) @ axis / mass) + 0.5) * scale - 0.5
        rows = motion.rows / _STEPS + own_row[:, None]
        columns = motion.columns / _STEPS + own_column[:, None]
        return np.stack([rows, columns], axis=-1).astype(np.float32)


def _evaluation_seed(split: str) -> int:
    return _EVALUATION_SEED + (split == "test")
