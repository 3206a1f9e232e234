"""The nine discriminator decompositions of Table 1 (docs/architecture.md, section 5)."""

import dataclasses
from typing import Any

from trivd_tf.models.discriminators import Discriminator


@dataclasses.dataclass(frozen=True)
class View:
    """The view of the videos that one discriminator of a decomposition judges.

    Attributes:
        kind: `frame` (K sampled frames) or `video` (all frames, 3D blocks).
        is_cropped: crop a random window of 1/s the size.
        is_downsampled: average-pool by s.
        frames: K of the decomposition, for a frame discriminator.
    """

    kind: str
    is_cropped: bool = False
    is_downsampled: bool = False
    frames: int = 8

    @property
    def name(self) -> str:
        """Name of the view, for example `cropped_video`."""
        parts = ["cropped"] * self.is_cropped + ["downsampled"] * self.is_downsampled
        return "_".join([*parts, self.kind])


_CLIP = View("video")
_DOWNSAMPLED = View("video", is_downsampled=True)
_CROPPED = View("video", is_cropped=True)
_FRAMES = View("frame")
_SMALL_FRAMES = View("frame", is_downsampled=True)

DECOMPOSITIONS: dict[str, tuple[View, ...]] = {
    "clip": (_CLIP,),
    "downsampled": (_DOWNSAMPLED,),
    "cropped": (_CROPPED,),
    "cropped_downsampled": (_CROPPED, _DOWNSAMPLED),
    "mocogan_k1": (View("frame", frames=1), _CLIP),
    "mocogan_k8": (View("frame", frames=8), _CLIP),
    "dvd_gan_fp": (_FRAMES, _DOWNSAMPLED),
    "dvd_gan_fp_faster": (_SMALL_FRAMES, _CROPPED),
    "dvd_gan_fp_stronger": (_SMALL_FRAMES, _CROPPED, _DOWNSAMPLED),
}


def make_discriminators(
    decomposition: str = "dvd_gan_fp_stronger",
    *,
    channel_multiplier: int = 48,
    num_conditioning_frames: int = 5,
    num_sampled_frames: int | None = None,
    factor: int = 2,
    num_classes: int = 1,
    head: str = "mixed_projection",
    pool_time: bool = True,
    wide_blocks: bool = True,
    spectral_norm: bool = True,
    spectral_epsilon: float = 1e-4,
    dtype: Any = None,
) -> list[Discriminator]:
    """Create the discriminators of one row of Table 1, which share no weights.

    Args:
        decomposition: a key of `DECOMPOSITIONS`.
        channel_multiplier: ch.
        num_conditioning_frames: leading frames that are real, not predicted.
        num_sampled_frames: K of the frame discriminator; defaults to that of the row.
        factor: s of the cropped and downsampled views.
        num_classes, head, pool_time, wide_blocks, spectral_norm, spectral_epsilon: as in
            `Discriminator`.
        dtype: a Keras dtype policy.

    Returns:
        One model per view; `d(videos [B, T, H, W, 3], labels=None, seed=) -> [B, B, T']`.

    Raises:
        ValueError: unknown decomposition.
    """
    if decomposition not in DECOMPOSITIONS:
        raise ValueError(
            f"decomposition must be one of {', '.join(DECOMPOSITIONS)}. Received: {decomposition!r}"
        )
    return [
        Discriminator(
            channel_multiplier,
            num_sampled_frames=(
                (num_sampled_frames or view.frames) if view.kind == "frame" else None
            ),
            crop_factor=factor if view.is_cropped else 1,
            downsample_factor=factor if view.is_downsampled else 1,
            num_conditioning_frames=num_conditioning_frames,
            num_classes=num_classes,
            head=head,
            pool_time=pool_time,
            wide_blocks=wide_blocks,
            spectral_norm=spectral_norm,
            spectral_epsilon=spectral_epsilon,
            dtype=dtype,
            name=view.name,
        )
        for view in DECOMPOSITIONS[decomposition]
    ]
