"""All that a score of videos depends on besides the videos, and the rules of public tools.

What each tool does was read in its code: docs/evaluation.md names the files.
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
    """How videos become clips, clips become frames of I3D, and logits become FVD.

    Attributes:
        frames: of a clip.
        stride: every stride-th frame.
        frame_rate: frames a second that a video is brought to first, by leaving out frames or
            repeating them; None takes the frames as they are.
        windows: clips of a video of REAL: `all`, `hop` frames apart and none incomplete; its
            `first`; or one at `random`.
        fake_windows: likewise of FAKE.
        hop: frames of the video from one clip to the next; None: clips do not overlap.
        size: smallest side in pixels that frames are resized to first (bicubic, antialiased);
            None keeps theirs.
        crop: `center` cuts the largest square out of the middle; `none` keeps all.
        resize: by which frames get I3D's 224 x 224 pixels, see `trivd_tf.metrics.resize_frames`.
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
        """Frames of the video, at `frame_rate`, that one clip covers."""
        return (self.frames - 1) * self.stride + 1

    @property
    def step(self) -> int:
        """Frames from one clip to the next."""
        return self.hop or self.span

    def describe_clips(self) -> str:
        """For reports: how clips are cut."""
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
        """For reports: how frames reach 224 x 224 pixels."""
        size = "as they are" if self.size is None else f"smallest side to {self.size} (bicubic)"
        crop = "" if self.crop == "none" else ", central square"
        return f"{size}{crop}, {self.resize} to 224 x 224"


RULES = {
    # The code that came with the paper of FVD, on videos as they are.
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
    """The rule of that name, with what is not None in `changes` in its place.

    Raises:
        InputError: there is none, or a change cannot be.
    """
    if name not in RULES:
        raise InputError(f"--rule {name}: unknown; choose one of {', '.join(RULES)}")
    given = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(RULES[name], **given)  # type: ignore[arg-type]
