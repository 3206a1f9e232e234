"""Score videos in files: FVD, KVD, IS, and for paired videos PSNR, SSIM, MSE and MAE.

REAL and FAKE are folders of videos, folders of folders of frames, or .npy or .npz files with an
array [N, T, H, W, C]. Each score is printed with its settings and the 95 % interval of scores of
other samples of the same size; FVD also extrapolated to infinitely many samples. Logits of I3D are
cached by content, so a second call takes seconds. If every video of FAKE has one of the same name
in REAL, frames are compared too. docs/evaluation.md explains each rule.

example:
  trivd score data/test predictions/test --output scores
  trivd score real.npy fake.npy --value_range -1 1 --num_samples 256
  trivd score data/test samples --rule stylegan_v --clip_length 16 --json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trivd_tf.base.outputs import check_outputs, claimed
from trivd_tf.cli.flags import add_seed_flag, local_output, natural_number, positive_number

_RULES = ("reference", "trivd", "stylegan_v", "videogpt", "cd_fvd")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd score`."""
    parser.add_argument("real", metavar="REAL", help="the reference videos")
    parser.add_argument("fake", metavar="FAKE", help="the videos to score")
    _add_rule_flags(parser.add_argument_group("rule"))
    group = parser.add_argument_group("samples")
    group.add_argument(
        "--num_samples",
        metavar="N",
        type=positive_number,
        default=2048,
        help="maximum number of clips per side; both sides use the same number (default: 2048)",
    )
    group.add_argument(
        "--pairs",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether videos of one name belong together: auto (default): where every video file "
        "of FAKE has one in REAL; always: the rows of arrays too; never",
    )
    group.add_argument(
        "--num_conditioning_frames",
        metavar="N",
        type=natural_number,
        default=0,
        help="conditioning frames at the beginning of each clip, which PSNR, SSIM, MSE and MAE "
        "leave out (default: 0)",
    )
    group.add_argument(
        "--value_range",
        metavar=("BLACK", "WHITE"),
        nargs=2,
        type=float,
        help="values of black and white in float arrays, such as 0 1 or -1 1",
    )
    group.add_argument(
        "--bootstrap",
        metavar="N",
        type=natural_number,
        default=200,
        help="bootstrap samples for the intervals; 0: no intervals (default: 200)",
    )
    _add_output_flags(parser)
    add_seed_flag(parser, "of the choice of clips and of bootstrap samples (default: 0)", 0)


def _add_rule_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rule",
        choices=_RULES,
        default="reference",
        help="rule with the defaults of the flags below: reference (default; the code of FVD's "
        "authors), trivd (`trivd evaluate`: 64 x 64), stylegan_v, videogpt or cd_fvd",
    )
    group.add_argument(
        "--clip_length", metavar="N", type=positive_number, help="frames of a clip (default: 16)"
    )
    group.add_argument("--stride", metavar="N", type=positive_number, help="use every N-th frame")
    group.add_argument(
        "--frame_rate",
        metavar="R",
        type=float,
        help="resample all videos to R frames per second first (default: their own rate)",
    )
    group.add_argument(
        "--windows",
        choices=("all", "first", "random"),
        help="clips per video: all of them, its first, or one at random",
    )
    group.add_argument(
        "--hop",
        metavar="N",
        type=positive_number,
        help="frames from one clip to the next (default: clips do not overlap)",
    )
    group.add_argument(
        "--size",
        metavar="N",
        type=positive_number,
        help="smallest side that frames are resized to first (default: their own size)",
    )
    group.add_argument("--crop", choices=("none", "center"), help="crop to the central square")
    group.add_argument(
        "--resize",
        choices=("tf1_bilinear", "tf2_bilinear", "antialiased"),
        help="how frames are resized to I3D's 224 x 224 pixels",
    )
    group.add_argument(
        "--covariance", choices=("unbiased", "biased"), help="divide by N - 1, or by N"
    )


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--output",
        metavar="DIR",
        help="also write score.json and fvd_by_samples.png (the bias of few samples) to DIR",
    )
    group.add_argument("--json", action="store_true", help="print JSON instead of the table")
    group.add_argument(
        "--i3d", metavar="PATH", help="weights of I3D (default: where they are installed)"
    )
    group.add_argument(
        "--cache_dir",
        metavar="DIR",
        help="directory of cached logits, or `none` (default: ~/.cache/trivd_tf/features)",
    )


def run(args: argparse.Namespace) -> int:
    """Score two sets of videos and print the results."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    outputs: list[Path] = []
    inputs = [Path(name).expanduser() for name in (args.real, args.fake)]
    if args.output:
        folder = local_output("--output", args.output)
        outputs = [folder / "score.json", folder / "fvd_by_samples.png"]
        check_outputs(outputs, inputs=inputs)
    import_tensorflow(debug=args.debug)

    from trivd_tf.base.storage import write_whole
    from trivd_tf.metrics import I3D, FeatureExtractor
    from trivd_tf.scoring import Options, find_rule, plot_by_samples, score
    from trivd_tf.scoring.features import default_cache_dir

    rule = find_rule(
        args.rule,
        frames=args.clip_length,
        stride=args.stride,
        frame_rate=args.frame_rate,
        windows=args.windows,
        fake_windows=args.windows,
        hop=args.hop,
        size=args.size,
        crop=args.crop,
        resize=args.resize,
        covariance=args.covariance,
    )
    options = Options(
        rule=rule,
        rule_name=args.rule,
        num_samples=args.num_samples,
        seed=args.seed,
        pairs=args.pairs,
        num_conditioning_frames=args.num_conditioning_frames,
        replicates=args.bootstrap,
        value_range=tuple(args.value_range) if args.value_range else None,
    )
    model = I3D.from_pretrained(args.i3d) if args.i3d else None
    cache_dir = Path(args.cache_dir).expanduser() if args.cache_dir else default_cache_dir()
    result = score(
        args.real,
        args.fake,
        options,
        extractor=FeatureExtractor(model, resize=rule.resize),
        cache_dir=None if args.cache_dir == "none" else cache_dir,
    )
    if outputs:
        with claimed(outputs, inputs=inputs):
            write_whole(outputs[0], result.to_json())
            plot_by_samples(result, outputs[1])
    print(result.to_json() if args.json else result)
    return 0
