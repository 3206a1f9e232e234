"""Frame and video discriminators (docs/architecture.md, section 5)."""

from typing import Any

import keras
import tensorflow as tf

from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.layers.residual import DiscriminatorBlock
from trivd_tf.layers.spectral_norm import SpectralDense, SpectralEmbedding
from trivd_tf.models.arguments import check_counts, check_frames
from trivd_tf.ops import losses, video

_WIDTHS = (2, 4, 8, 16, 16)
_BLOCKS_IN_3D = 2


@keras.saving.register_keras_serializable("trivd_tf")
class Discriminator(keras.Model):
    """Judges one view of whole videos: sampled frames, or all frames with 3D convolutions.

    It takes the whole video, including the conditioning frames, and draws its own view from `seed`:
    a crop, then average pooling, then, for a frame discriminator, K frames that are not
    conditioning frames. Five blocks, of which the first four pool; ReLU; sum over space; projection
    head.

    Args:
        channel_multiplier: ch; the blocks are ch x (2, 4, 8, 16, 16) wide.
        num_sampled_frames: K of a frame discriminator; None makes a video discriminator, whose
            first two blocks are 3D.
        crop_factor: s of the cropped view, 1 for none.
        downsample_factor: s of the downsampled view, 1 for none.
        num_conditioning_frames: leading frames that a frame discriminator never judges.
        num_classes: rows of the class embedding; 1 is the dummy class of video prediction.
        head: `mixed_projection` (paper, Eq. 15) or `projection`.
        pool_time: 3D blocks pool 2x2x2, else 1x2x2.
        wide_blocks: give a block's first convolution the block's output width instead of its input
            width.
        spectral_norm, spectral_epsilon: of every layer.
    """

    def __init__(
        self,
        channel_multiplier: int = 48,
        *,
        num_sampled_frames: int | None = None,
        crop_factor: int = 1,
        downsample_factor: int = 1,
        num_conditioning_frames: int = 5,
        num_classes: int = 1,
        head: str = "mixed_projection",
        pool_time: bool = True,
        wide_blocks: bool = True,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if head not in ("mixed_projection", "projection"):
            raise ValueError(f"head must be mixed_projection or projection. Received: {head!r}")
        check_counts(
            channel_multiplier=channel_multiplier,
            num_sampled_frames=1 if num_sampled_frames is None else num_sampled_frames,
            crop_factor=crop_factor,
            downsample_factor=downsample_factor,
            num_classes=num_classes,
        )
        self.channel_multiplier = channel_multiplier
        self.num_sampled_frames = num_sampled_frames
        self.crop_factor = crop_factor
        self.downsample_factor = downsample_factor
        self.num_conditioning_frames = num_conditioning_frames
        self.num_classes = num_classes
        self.head = head
        self.pool_time = pool_time
        self.wide_blocks = wide_blocks
        self.spectral_norm = spectral_norm
        self.spectral_epsilon = spectral_epsilon
        # Number of frames and frame size of the videos that the variables were built for.
        self._built_for: tuple[int, tuple[int, int]] | None = None
        norm = {"spectral_norm": spectral_norm, "dtype": self.dtype_policy}
        blocks_in_3d = _BLOCKS_IN_3D if num_sampled_frames is None else 0
        self.blocks = [
            DiscriminatorBlock(
                width * channel_multiplier,
                is_3d=index < blocks_in_3d,
                pool=index < len(_WIDTHS) - 1,
                pool_time=pool_time,
                leading_relu=index > 0,
                wide=wide_blocks,
                spectral_epsilon=spectral_epsilon,
                name=f"block_{index + 1}",
                **norm,
            )
            for index, width in enumerate(_WIDTHS)
        ]
        self.score = SpectralDense(1, epsilon=spectral_epsilon, name="score", **norm)
        self.embedding = SpectralEmbedding(
            num_classes,
            _WIDTHS[-1] * channel_multiplier,
            epsilon=spectral_epsilon,
            name="embedding",
            **norm,
        )

    def build(self, videos_shape: tuple[int | None, ...]) -> None:
        """Create every variable; raise ValueError if the view does not fit the videos."""
        check_frames("videos", keras.KerasTensor(videos_shape), (None, None, None, None, 3))
        num_frames, *size = (int(length or 0) for length in videos_shape[1:4])
        self._built_for = (num_frames, (size[0], size[1]))
        video = tf.zeros([1, num_frames, *size, 3], self.compute_dtype)
        seed = tf.zeros([2], tf.int32)
        view = self.view(video, self.draw(1, num_frames, self._built_for[1], seed))
        shape: tuple[int | None, ...] = (None, *view.shape[1:])
        for block in self.blocks:
            if not block.is_3d and len(shape) == 5:
                shape = (None, *shape[2:])  # time is folded into the batch from here on
            if not block.built:  # already built if `scores` was called first
                block.build(shape)
            shape = block.compute_output_shape(shape)
        if not self.score.built:
            self.score.build((None, None, shape[-1]))
        self.built = True

    def build_variables(self, num_frames: int, size: FrameSize) -> None:
        """Create every variable now, for videos of `num_frames` frames of size `size`."""
        if not self.built:
            self.build((None, num_frames, *height_width(size), 3))

    def get_build_config(self) -> dict[str, Any]:
        """Return the shape of the videos for `build_from_config`."""
        return {"videos": self._built_for}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the variables stored in a `.keras` file; Keras calls this on loading."""
        if config.get("videos"):
            num_frames, size = config["videos"]
            self.build_variables(num_frames, tuple(size))

    def draw(
        self, count: int | tf.Tensor, num_frames: int, size: FrameSize, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Draw crop corners and frame indices for `count` videos, one row per video.

        Drawn for the global batch and then sliced, the choices do not depend on the number of
        replicas.

        Args:
            count: number of videos.
            num_frames: T of the whole videos.
            size: side of square frames, or (height, width).
            seed: int tensor `[2]`.
        """
        seeds = tf.random.experimental.stateless_split(seed, 2)
        choices = {}
        if self.num_sampled_frames is not None:
            choices["frames"] = video.draw_frame_indices(
                count, self.num_sampled_frames, num_frames, self.num_conditioning_frames, seeds[0]
            )
        if self.crop_factor > 1:
            window = self.window(*height_width(size))
            choices["corners"] = video.draw_corners(count, size, window, seeds[1])
        return choices

    def window(self, height: int, width: int) -> tuple[int, int]:
        """Return (rows, columns) after the crop: H / s x W / s, or H x W without a crop."""
        return height // self.crop_factor, width // self.crop_factor

    def view(self, videos: tf.Tensor, choices: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return this discriminator's view of `[B, T, H, W, 3]`: `[B, K or T, H / s, W / s, 3]`.

        Args:
            videos: conditioning frames followed by real or predicted ones.
            choices: from `draw`, one row per video.
        """
        if self.num_sampled_frames is not None:
            videos = video.take_frames(videos, choices["frames"])
        if self.crop_factor > 1:
            videos = video.crop(videos, choices["corners"], self.window(*videos.shape[2:4]))
        return video.downsample(videos, self.downsample_factor)

    def features(self, view: tf.Tensor) -> tf.Tensor:
        """Map `[B, T, H, W, 3]` to `[B, T', 16 ch]`, T' = K, or T / 4 with time pooling."""
        hidden = view
        is_folded = False
        for block in self.blocks:
            if not block.is_3d and not is_folded:
                frames = hidden.shape[1]
                hidden, is_folded = video.fold_time(hidden), True
            hidden = block(hidden)
        hidden = tf.reduce_sum(tf.nn.relu(hidden), axis=[1, 2])
        return tf.reshape(hidden, [-1, frames, hidden.shape[-1]])

    def scores(
        self, view: tf.Tensor, labels: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return unconditional scores and class projections of a view, `[B, T']` each, float32."""
        hidden = self.features(view)
        if labels is None:
            labels = tf.zeros([tf.shape(hidden)[0]], tf.int32)
        r_x = self.score(hidden)[..., 0]
        r_xy = tf.linalg.matvec(hidden, self.embedding(labels))
        if r_x.dtype.size < 4:
            return tf.cast(r_x, tf.float32), tf.cast(r_xy, tf.float32)
        return r_x, r_xy

    def combine(self, r_x: tf.Tensor, r_xy: tf.Tensor) -> tf.Tensor:
        """Apply the head: `[B, B, T']` for the mixed projection, `[B]` for the plain one."""
        if self.head == "mixed_projection":
            return losses.mixed_projection(r_x, r_xy)
        return losses.projection(r_x, r_xy)

    def call(
        self,
        videos: tf.Tensor,
        labels: tf.Tensor | None = None,
        seed: tf.Tensor | int | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Judge whole videos.

        Args:
            videos: `[B, T, H, W, 3]` in [-1, 1], conditioning frames first.
            labels: int `[B]`; the dummy class 0 by default.
            seed: one or two integers that determine the crops and frames; 0 by default.
            training: first run one power iteration of every spectral norm, unless disabled with
                `set_power_iteration`.

        Returns:
            `[B, B, T']` outputs of the mixed projection, or `[B]` of the plain one.
        """
        check_frames("videos", videos, (None, None, None, None, 3))
        choices = self.draw(
            tf.shape(videos)[0],
            videos.shape[1],
            tuple(videos.shape[2:4]),
            as_seed(0 if seed is None else seed),
        )
        return self.combine(*self.scores(self.view(videos, choices), labels))

    def get_config(self) -> dict[str, Any]:
        names = (
            "channel_multiplier",
            "num_sampled_frames",
            "crop_factor",
            "downsample_factor",
            "num_conditioning_frames",
            "num_classes",
            "head",
            "pool_time",
            "wide_blocks",
            "spectral_norm",
            "spectral_epsilon",
        )
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def as_seed(seed: tf.Tensor | int | list[int]) -> tf.Tensor:
    """Convert one or two integers to the `[2]` seed of the stateless random functions."""
    seed = tf.convert_to_tensor(seed)
    if seed.shape.rank == 0:
        seed = tf.stack([seed, tf.zeros_like(seed)])
    return seed
