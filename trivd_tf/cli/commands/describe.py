"""Show the networks of a configuration and their cost, without training.

Prints the output shape, parameters and FLOPs of every layer, and the cost of a training step per
network: generator, encoder, each discriminator. Several --gin_file are shown side by side. Neither
data nor weights are needed, so models of any size can be described on any machine.

FLOPs count two per multiply-add of convolutions, matrix products and warps; "forward" is one
sample, "step" is the global batch with all discriminator updates. GB are the bytes that the
operations of a step read and write, counted per operation.

--views draws the view that each discriminator has of a clip (Fig. 1 of the paper).

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
from trivd_tf.base.outputs import check_outputs, claimed
from trivd_tf.base.storage import write_whole
from trivd_tf.cli.flags import add_compared_flags, local_path, natural_number

if TYPE_CHECKING:
    from trivd_tf.experiment import Experiment


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd describe`."""
    add_compared_flags(parser)
    parser.add_argument(
        "--summary", action="store_true", help="show the cost per network only, without the layers"
    )
    parser.add_argument(
        "--json", metavar="FILE", help="also write the description to this JSON file"
    )
    group = parser.add_argument_group("views")
    group.add_argument(
        "--views",
        metavar="CLIP",
        help="a video file: draw the view that each discriminator has of it",
    )
    group.add_argument(
        "--output",
        metavar="FILE",
        default="views.png",
        help="the picture file; with several --gin_file their names are added (default: views.png)",
    )
    group.add_argument(
        "--seed",
        metavar="N",
        type=natural_number,
        default=0,
        help="seed of the crops and sampled frames",
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables, or draw the views."""
    from trivd_tf.cli.tensorflow_log import import_tensorflow

    if args.views:
        outputs = _view_files(args)
    elif args.json:
        outputs = [local_path("--json", args.json)]
    else:
        outputs = []
    inputs = [file for file in (args.views, *args.gin_file) if file]
    check_outputs(outputs, inputs=[Path(file).expanduser() for file in inputs])
    import_tensorflow(debug=args.debug)

    if args.views:
        with claimed(outputs):
            return _draw(args, outputs)
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
        with claimed(outputs):
            write_whole(outputs[0], json.dumps(rows, indent=1) + "\n")
    return 0


def load(args: argparse.Namespace, gin_file: str) -> Experiment:
    """Return the experiment of one gin file; generated clips replace missing data."""
    from trivd_tf import config

    parsed = config.parse(
        [gin_file], args.gin_bindings, data_dir=args.data_dir, stand_in_data=args.data_dir is None
    )
    experiment = parsed.build()
    title = experiment.title or Path(gin_file).stem
    return dataclasses.replace(experiment, title=title)


def _view_files(args: argparse.Namespace) -> list[Path]:
    """Return one picture file per gin file."""
    path = local_path("--output", args.output)
    if path.suffix.lower() != ".png":
        raise InputError(f"--output {args.output}: give the name of a PNG, such as views.png")
    if len(args.gin_file) == 1:
        return [path]
    stems = [Path(gin_file).stem for gin_file in args.gin_file]
    return [path.with_name(f"{path.stem}_{stem}{path.suffix}") for stem in stems]


def _draw(args: argparse.Namespace, outputs: list[Path]) -> int:
    from trivd_tf.description import views_sheet
    from trivd_tf.pictures.video_io import read_clip, write_png

    for gin_file, path in zip(args.gin_file, outputs, strict=True):
        experiment = load(args, gin_file)
        spec = experiment.clip
        clip = read_clip(
            args.views,
            num_conditioning_frames=spec.num_frames,
            size=spec.size,
            stride=spec.stride,
            fps=spec.fps,
        )
        sheet = views_sheet(experiment, clip.conditioning, seed=args.seed)
        print(write_png(path, sheet))
    return 0
