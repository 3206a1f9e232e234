"""Tell what networks a configuration makes and what they cost, without training.

Prints every layer's output, parameters and FLOPs, and what a training step costs in each part:
generator, encoder, each discriminator. Several --gin_file stand side by side. Neither data nor
weights are needed, so the largest model is described on any machine.

FLOP: two for each multiply-add of a convolution, matrix product or warp; "forward" is one sample,
"step" the whole global batch with all discriminator updates. GB: what the operations of a step read
and write, each by itself.

With --views, draws what each discriminator sees of a clip of yours (the paper's Fig. 1).

example:
  trivd describe --gin_file table3_trivd_gan_fp
  trivd describe --gin_file table2_conv_gru --gin_file table2_tsru_p --summary
  trivd describe --gin_file table1_dvd_gan_fp --views clip.mp4 --output views.png
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

from trivd_tf.base.errors import InputError
from trivd_tf.cli.flags import add_compared_flags, natural_number

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the flags of `trivd describe`."""
    add_compared_flags(parser)
    parser.add_argument(
        "--summary", action="store_true", help="only the costs by part, without the layers"
    )
    parser.add_argument("--json", metavar="FILE", help="also write everything to this file")
    group = parser.add_argument_group("views")
    group.add_argument(
        "--views", metavar="CLIP", help="a video file: draw what each discriminator sees of it"
    )
    group.add_argument(
        "--output",
        metavar="FILE",
        default="views.png",
        help="the picture; with several --gin_file their names are added (default: views.png)",
    )
    group.add_argument(
        "--seed", metavar="N", type=natural_number, default=0, help="of crops and sampled frames"
    )


def run(args: argparse.Namespace) -> int:
    """Prints the tables, or draws the views."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    import_tensorflow(debug=args.debug)

    if args.views:
        return _draw(args)
    from trivd_tf import description
    from trivd_tf.base.progress import track

    described = []
    for gin_file in track(args.gin_file, "counting", unit="configuration"):
        described.append(description.describe(load(args, gin_file)))
    if not args.summary:
        print(description.layer_table(described))
    print(description.part_table(described))
    if args.json:
        rows = [dataclasses.asdict(one) for one in described]
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 0


def load(args: argparse.Namespace, gin_file: str) -> Experiment:
    """The experiment of one gin file; generated clips stand in for data that is not given."""
    from trivd_tf import config

    parsed = config.parse(
        [gin_file], args.gin_bindings, data_dir=args.data_dir, stand_in_data=args.data_dir is None
    )
    experiment = parsed.build()
    title = experiment.title or Path(gin_file).stem
    return dataclasses.replace(experiment, title=title)


def _draw(args: argparse.Namespace) -> int:
    from trivd_tf.description import views_sheet
    from trivd_tf.pictures.video_io import read_clip, write_png

    for gin_file in args.gin_file:
        experiment = load(args, gin_file)
        spec = experiment.clip
        clip = read_clip(
            args.views,
            num_conditioning_frames=spec.num_frames,
            size=spec.size,
            stride=spec.stride,
        )
        sheet = views_sheet(experiment, clip.conditioning, seed=args.seed)
        path = Path(args.output).expanduser()
        if path.suffix.lower() != ".png":
            raise InputError(f"--output {args.output}: give the name of a PNG, such as views.png")
        if len(args.gin_file) > 1:
            path = path.with_name(f"{path.stem}_{Path(gin_file).stem}{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        print(write_png(path, sheet))
    return 0
