"""The TrIVD-GAN / DVD-GAN-FP generator (docs/architecture.md, section 2)."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from trivd_tf.base.frame_size import FrameSize, height_width
from trivd_tf.layers.batch_norm import PerStepBatchNorm
from trivd_tf.layers.spectral_norm import SpectralConv2D, SpectralDense, SpectralEmbedding
from trivd_tf.models.arguments import check_counts, check_frames, checked_frame_size
from trivd_tf.models.encoder import Encoder
from trivd_tf.models.generator_stage import GeneratorStage
from trivd_tf.models.motion import NUM_STAGES, chosen_stages, combine_stages
from trivd_tf.models.pixel_unit import PixelUnit
from trivd_tf.ops import video

_HIDDEN_WIDTHS = (8, 4, 2)
_INPUT_WIDTHS = (8, 8, 4)


@keras.saving.register_keras_serializable("trivd_tf")
class Generator(keras.Model):
    """Predicts future frames from conditioning frames and a latent.

    Args:
        channel_multiplier: ch, 48 in the paper's comparisons, 120 in its final model.
        recurrent_unit: name of the unit, for `make_cell`.
        num_predicted_frames: T.
        num_conditioning_frames: Tc.
        frame_size: side of square frames, or (height, width), in pixels; divisible by 8.
        latent_size: length of z.
        embedding_size: length of the class features.
        num_classes: rows of the class embedding; 1 is the dummy class of video prediction.
        hidden_widths: width of each recurrent unit: `out` (as read in docs/architecture.md) or
            `in`.
        post_kernel_size: kernel size of the convolution after the recurrent unit, 3 or 1.
        unit_options: further arguments of `make_cell`.
        wide_encoder_blocks: `wide_blocks` of the encoder.
        embedding_spectral_norm: normalize the class embedding. Off, as in BigGAN; the paper's text
            excepts only the first linear map (docs/architecture.md, "Open choices").
        motion_stages: stages whose motion fields `predict_with_motion` combines, from `stage_1`
            (coarsest) to `stage_3`. The default is the two finest: "lower" means finer in the
            paper's Fig. 3.
        motion_levels: option of earlier versions: combine this many stages, starting with the
            coarsest, instead of `motion_stages`.
        pixel_warp_size: k of a TSRU on the pixels, which moves the previous frame by up to
            (k - 1) / 2 pixels and blends it with the head's output (`PixelUnit`). None for the
            paper's generator, which has none.
        pixel_matching: let that unit continue the motion between the last two conditioning frames,
            found by block matching, and learn only to depart from it.
        spectral_norm, spectral_epsilon, batch_norm_epsilon: of every layer.
    """

    def __init__(
        self,
        channel_multiplier: int = 48,
        recurrent_unit: str = "tsru_p",
        num_predicted_frames: int = 11,
        *,
        num_conditioning_frames: int = 5,
        frame_size: FrameSize = 64,
        latent_size: int = 128,
        embedding_size: int = 128,
        num_classes: int = 1,
        hidden_widths: str = "out",
        post_kernel_size: int = 3,
        unit_options: dict[str, Any] | None = None,
        wide_encoder_blocks: bool = True,
        embedding_spectral_norm: bool = False,
        motion_stages: Sequence[str] = ("stage_2", "stage_3"),
        motion_levels: int | None = None,
        pixel_warp_size: int | None = None,
        pixel_matching: bool = False,
        spectral_norm: bool = True,
        spectral_epsilon: float = 1e-4,
        batch_norm_epsilon: float = 1e-4,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Conditioning frames keep their dtype: `_run` casts them for the networks, while a TSRU on
        # the pixels starts from them in full precision.
        self.autocast = False
        check_counts(
            channel_multiplier=channel_multiplier,
            num_predicted_frames=num_predicted_frames,
            num_conditioning_frames=num_conditioning_frames,
            latent_size=latent_size,
            embedding_size=embedding_size,
            num_classes=num_classes,
        )
        frame_size = checked_frame_size(frame_size)
        if hidden_widths not in ("out", "in"):
            raise ValueError(f"hidden_widths must be 'out' or 'in'. Received: {hidden_widths!r}")
        motion_stages = chosen_stages(motion_stages, motion_levels)
        if pixel_matching and (pixel_warp_size is None or num_conditioning_frames < 2):
            raise ValueError(
                "pixel_matching needs pixel_warp_size and at least 2 conditioning frames. "
                f"Received: pixel_warp_size={pixel_warp_size}, "
                f"num_conditioning_frames={num_conditioning_frames}"
            )
        self._options: dict[str, Any] = {
            "channel_multiplier": channel_multiplier,
            "recurrent_unit": recurrent_unit,
            "num_predicted_frames": num_predicted_frames,
            "num_conditioning_frames": num_conditioning_frames,
            "frame_size": frame_size,
            "latent_size": latent_size,
            "embedding_size": embedding_size,
            "num_classes": num_classes,
            "hidden_widths": hidden_widths,
            "post_kernel_size": post_kernel_size,
            "unit_options": dict(unit_options or {}),
            "wide_encoder_blocks": wide_encoder_blocks,
            "embedding_spectral_norm": embedding_spectral_norm,
            "motion_stages": motion_stages,
            "pixel_warp_size": pixel_warp_size,
            "pixel_matching": pixel_matching,
            "spectral_norm": spectral_norm,
            "spectral_epsilon": spectral_epsilon,
            "batch_norm_epsilon": batch_norm_epsilon,
        }
        self.channel_multiplier = channel_multiplier
        self.recurrent_unit = recurrent_unit
        self.num_predicted_frames = num_predicted_frames
        self.num_conditioning_frames = num_conditioning_frames
        self.frame_size = frame_size
        self.latent_size = latent_size
        self.num_classes = num_classes
        self.motion_stages = motion_stages
        self._build_layers(wide_encoder_blocks, hidden_widths)

    def _build_layers(self, wide_encoder_blocks: bool, hidden_widths: str) -> None:
        options, ch = self._options, self.channel_multiplier
        norm = {
            "spectral_norm": options["spectral_norm"],
            "spectral_epsilon": options["spectral_epsilon"],
            "dtype": self.dtype_policy,
        }
        inputs = _INPUT_WIDTHS if hidden_widths == "in" else _HIDDEN_WIDTHS
        hidden = tuple(width * ch for width in inputs)
        out = tuple(width * ch for width in _HIDDEN_WIDTHS)
        plain = {"spectral_norm": False, "dtype": self.dtype_policy}
        self.embedding = SpectralEmbedding(
            self.num_classes,
            options["embedding_size"],
            spectral_norm=options["embedding_spectral_norm"],
            epsilon=options["spectral_epsilon"],
            name="embedding",
            dtype=self.dtype_policy,
        )
        area = math.prod(self._first_shape)
        self.affine = SpectralDense(area * _INPUT_WIDTHS[0] * ch, name="affine", **plain)
        self.encoder = Encoder(
            tuple(reversed(out)), hidden, wide_blocks=wide_encoder_blocks, name="encoder", **norm
        )
        self.stages = [
            GeneratorStage(
                self.recurrent_unit,
                hidden[index],
                out[index],
                self.num_predicted_frames,
                unit_options=options["unit_options"],
                post_kernel_size=options["post_kernel_size"],
                batch_norm_epsilon=options["batch_norm_epsilon"],
                name=f"stage_{index + 1}",
                **norm,
            )
            for index in range(NUM_STAGES)
        ]
        self.head_norm = PerStepBatchNorm(
            self.num_predicted_frames,
            conditional=False,
            epsilon=options["batch_norm_epsilon"],
            dtype=self.dtype_policy,
            name="head_norm",
        )
        self.head = SpectralConv2D(
            3,
            spectral_norm=norm["spectral_norm"],
            epsilon=norm["spectral_epsilon"],
            dtype=self.dtype_policy,
            name="head",
        )
        warp_size = options["pixel_warp_size"]
        self.pixels = (
            None
            if warp_size is None
            else PixelUnit(
                warp_size,
                matching=options["pixel_matching"],
                dtype=self.dtype_policy,
                name="pixels",
            )
        )

    @property
    def frame_shape(self) -> tuple[int, int]:
        """(height, width) of the frames in pixels."""
        return height_width(self.frame_size)

    @property
    def _first_shape(self) -> tuple[int, int]:
        """(height, width) of the first stage's input: H / 8 x W / 8."""
        height, width = self.frame_shape
        return height // 2**NUM_STAGES, width // 2**NUM_STAGES

    @property
    def has_motion(self) -> bool:
        """Whether the generator has a motion field: its recurrent units or pixels are warped."""
        return bool(self.stages[0].cell.has_motion or self.pixels is not None)

    def build(self, conditioning_frames_shape: tuple[int | None, ...] | None = None) -> None:
        """Create every variable; the shapes follow from the options alone."""
        options, (height, width) = self._options, self._first_shape
        condition_shape = (None, self.latent_size + options["embedding_size"])
        self.affine.build(condition_shape)
        self.encoder.build((None, self.num_conditioning_frames, *self.frame_shape, 3))
        frames_shape: tuple[int | None, ...] = (
            *(1, None, height, width),
            _INPUT_WIDTHS[0] * self.channel_multiplier,
        )
        for stage, channels in zip(self.stages, self.encoder.state_channels, strict=True):
            encoding_shape = (None, *frames_shape[2:4], channels)
            stage.build(frames_shape, encoding_shape, condition_shape)
            frames_shape = stage.compute_output_shape(frames_shape)
        self.head_norm.build(frames_shape)
        self.head.build(frames_shape[1:])
        if self.pixels is not None:
            self.pixels.build(frames_shape)
        self.built = True

    def build_variables(self) -> None:
        """Create every variable now instead of at the first call, without tracing or computing."""
        if not self.built:
            self.build()

    def call(
        self,
        conditioning_frames: tf.Tensor,
        z: tf.Tensor,
        labels: tf.Tensor | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Predict the frames that follow the conditioning frames.

        Args:
            conditioning_frames: `[B, Tc, H, W, 3]` in [-1, 1].
            z: `[B, latent_size]`, standard normal.
            labels: int `[B]`; the dummy class 0 by default.
            training: use batch moments instead of standing statistics, and first run one power
                iteration of every spectral norm unless disabled with `set_power_iteration`.

        Returns:
            Predicted frames, `[B, T, H, W, 3]` in [-1, 1], float32.
        """
        return self._run(conditioning_frames, z, labels, training)[0]

    def _run(
        self,
        conditioning_frames: tf.Tensor,
        z: tf.Tensor,
        labels: tf.Tensor | None,
        training: bool,
    ) -> tuple[tf.Tensor, list[tf.Tensor | None]]:
        self.build_variables()  # Keras builds before `call`, but not before the other methods
        check_frames(
            "conditioning_frames",
            conditioning_frames,
            (None, self.num_conditioning_frames, *self.frame_shape, 3),
        )
        if not tf.TensorShape(z.shape).is_compatible_with((None, self.latent_size)):
            raise ValueError(f"z must be [any, {self.latent_size}]. Received: shape {z.shape}")
        dtype = self.compute_dtype
        full_precision = conditioning_frames
        conditioning_frames = tf.cast(conditioning_frames, dtype)
        if labels is None:
            labels = tf.zeros([tf.shape(z)[0]], tf.int32)
        condition = tf.concat([tf.cast(z, dtype), self.embedding(labels)], axis=-1)
        encodings = self.encoder(conditioning_frames)
        # A single frame stands for every step, so that shared work is done once.
        channels = _INPUT_WIDTHS[0] * self.channel_multiplier
        frames = tf.reshape(self.affine(condition), [1, -1, *self._first_shape, channels])
        warps = []
        for stage, encoding in zip(self.stages, encodings, strict=True):
            frames, warp_weights = stage(frames, encoding, condition, training=training)
            warps.append(warp_weights)
        features = tf.nn.relu(self.head_norm(frames, training=training))
        frames = video.framewise(self.head, features)
        frames = tf.tanh(tf.cast(frames, tf.float64 if dtype == "float64" else tf.float32))
        if self.pixels is not None:
            frames, warp_weights = self.pixels(features, frames, full_precision)
            warps.append(warp_weights)
        return video.swap_time(frames), warps

    def predict_with_stage_motion(
        self,
        conditioning_frames: tf.Tensor,
        z: tf.Tensor,
        labels: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Predict as `call` does, with each stage's motion field `[B, T, h, w, 2]`, coarsest first.

        A field is the expected displacement under the warp weights: (dy, dx) in that stage's
        pixels, from a pixel to its source (docs/architecture.md, section 4). With a TSRU on the
        pixels, its field comes last.

        Raises:
            ValueError: neither the recurrent unit nor the pixels are warped.
        """
        if not self.has_motion:
            raise ValueError(
                f"the recurrent unit {self.recurrent_unit!r} does not warp its state, so there is "
                "no motion field: use a TSRU, PTSRU or K-TrajGRU unit, or call the generator"
            )
        frames, warps = self._run(conditioning_frames, z, labels, training)
        units = [stage.cell for stage in self.stages] + (
            [self.pixels] if self.pixels is not None else []
        )
        flows = []
        for unit, found in zip(units, warps, strict=True):
            if found is not None:
                flow = video.framewise(unit.flow, tf.cast(found, frames.dtype))
                flows.append(video.swap_time(flow))
        return frames, flows

    def predict_with_motion(
        self,
        conditioning_frames: tf.Tensor,
        z: tf.Tensor,
        labels: tf.Tensor | None = None,
        training: bool = False,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Predict as `call` does, with the motion field `[B, T, H, W, 2]` in pixels of the frames.

        The fields of `motion_stages` are combined coarse to fine (paper, Fig. 3). With a TSRU on
        the pixels, the result is the field of that unit alone: the source of each pixel in the
        previous frame.
        """
        frames, flows = self.predict_with_stage_motion(
            conditioning_frames, z, labels=labels, training=training
        )
        return frames, self.combine_motion(flows)

    def combine_motion(
        self, flows: list[tf.Tensor], stages: Sequence[str] | None = None
    ) -> tf.Tensor:
        """Combine the stages' motion fields into one field of the frames' size.

        Args:
            flows: `[B, T, h, w, 2]` of every stage, coarsest first.
            stages: names of the stages to combine. Defaults to the field of the TSRU on the pixels
                if the generator has one, and to `motion_stages` otherwise.

        Returns:
            `[B, T, H, W, 2]`, in pixels of the frames.
        """
        if self.pixels is not None:
            if stages is None:
                return flows[-1]
            flows = flows[:-1]
        chosen = self.motion_stages if stages is None else stages
        return combine_stages(flows, chosen, self.frame_shape)

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the variables stored in a `.keras` file; Keras calls this on loading."""
        self.build_variables()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._options}
