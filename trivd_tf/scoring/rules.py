"""Rules for scoring videos, including the rules of public tools.

The rules of the tools were taken from their code: docs/evaluation.md names the files.
"""

import dataclasses

from trivd_tf.base.errors import InputError
from trivd_tf.metrics.frechet import COVARIANCES
from trivd_tf.metrics.i3d.shapes import MIN_FRAMES
from trivd_tf.metrics.resize import RESIZE_RULES

CROPS = ("none", "center")
WINDOWS = ("all", "first", "random")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """Defines how clips are cut from videos, resized for I3D, and scored with FVD.

    Attributes:
        frames: number of frames of a clip.
        stride: use every stride-th frame.
        frame_rate: frame rate to which a video is resampled first, by dropping or repeating frames;
            None uses all frames.
        windows: clips of a REAL video: `all` complete clips, `hop` frames apart; the `first` clip;
            or one at `random`.
        fake_windows: clips of a FAKE video, likewise.
        hop: distance between clips in frames of the video; None for clips without overlap.
        size: smallest side in pixels to which frames are resized first (bicubic, antialiased); None
            keeps the original size.
        crop: `center` uses the largest center square; `none` keeps the whole frame.
        resize: rule for resizing to I3D's 224 x 224, see `trivd_tf.metrics.resize_frames`.
        covariance: see `trivd_tf.metrics.frechet_distance`.
    """

    frames: int = 16
    stride: int = 1
    frame_rate: float | None = None
    windows: str = "all"
    fake_windows: str = "all"
    hop: int | None = None
    size: int | None = None
    crop: str = "none"
    resize: str = "tf1_bilinear"
    covariance: str = "unbiased"

    def __post_init__(self) -> None:
        if self.frames < MIN_FRAMES:
            raise InputError(
                f"clips of {self.frames} frames: I3D takes at least {MIN_FRAMES}; choose "
                f"--clip_length {MIN_FRAMES} or more"
            )
        for name, minimum in (("stride", 1), ("hop", 1), ("size", 8)):
            value = getattr(self, name)
            if value is not None and value < minimum:
                raise InputError(f"--{name} {value}: choose {minimum} or more")
        if self.frame_rate is not None and not 0 < self.frame_rate < 1000:
            raise InputError(f"--frame_rate {self.frame_rate}: choose between 0 and 1000")
        choices = {
            "windows": WINDOWS,
            "fake_windows": WINDOWS,
            "crop": CROPS,
            "resize": tuple(RESIZE_RULES),
            "covariance": COVARIANCES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"--{name} {getattr(self, name)}: unknown; choose one of {', '.join(allowed)}"
                )

    @property
    def span(self) -> int:
        """Number of video frames, at `frame_rate`, that one clip covers."""
        return (self.frames - 1) * self.stride + 1

    @property
    def step(self) -> int:
        """Number of frames from one clip to the next."""
        return self.hop or self.span

    def describe_clips(self) -> str:
        """Describes the selection of clips, for reports."""
        rate = "" if self.frame_rate is None else f" at {self.frame_rate:g} frames a second"
        words = {
            "all": f"every {self.step} frames",
            "first": "the first of each video",
            "random": "one at random in each video",
        }
        windows = words[self.windows]
        if self.windows != self.fake_windows:
            windows = f"REAL: {windows}, FAKE: {words[self.fake_windows]}"
        return f"{self.frames} frames, stride {self.stride}{rate}; {windows}"

    def describe_frames(self) -> str:
        """Describes the resizing of frames to 224 x 224, for reports."""
        size = "as they are" if self.size is None else f"smallest side to {self.size} (bicubic)"
        crop = "" if self.crop == "none" else ", central square"
        return f"{size}{crop}, {self.resize} to 224 x 224"


RULES = {
    # The code published with the FVD paper, on unmodified videos.
    "reference": Rule(),
    # `trivd evaluate`: frames of 64 x 64.
    "trivd": Rule(size=64, crop="center"),
    "stylegan_v": Rule(
        resize="tf2_bilinear", covariance="biased", windows="random", fake_windows="first"
    ),
    # Also the two PyTorch variants of common_metrics_on_video_quality.
    "videogpt": Rule(resize="tf2_bilinear", crop="center"),
    "cd_fvd": Rule(resize="tf2_bilinear", covariance="biased"),
}


def find_rule(name: str, **changes: object) -> Rule:
    """Returns the rule `name`, with the values of `changes` that are not None.

    Raises:
        InputError: there is no such rule, or a change is invalid.
    """
    if name not in RULES:
        raise InputError(f"--rule {name}: unknown; choose one of {', '.join(RULES)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(RULES[name], **given)  # type: ignore[arg-type]
