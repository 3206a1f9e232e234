"""Draws both readings of the paper's Fig. 3, from the same predictions: the motion of the two
coarsest stages and of the two finest.

    python tools/draw_motion_readings.py export/pretrained/walks --output motion_readings.png

Needs an export with motion, and the clips beside it. Prints how well each field explains the
prediction: the mean absolute difference, in gray levels, of each predicted frame and the previous
frame warped by the field, beside that of the previous frame itself.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw

from trivd_tf.models.motion import NUM_STAGES, combine_stages
from trivd_tf.ops.warp import bilinear_sample
from trivd_tf.pictures import motion
from trivd_tf.pictures.drawing import (
    GAP,
    INK,
    LINE,
    PAPER,
    PREDICTED,
    cell,
    paste,
    text_width,
    write,
)
from trivd_tf.pictures.video_io import upscale, write_png

READINGS = {
    "stages 1 + 2": ("stage_1", "stage_2"),
    "stages 2 + 3": ("stage_2", "stage_3"),
}
SIDE = 96


def predict(export: Path, clips: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Predict; return frames, starting with the last conditioning frame, and the fields.

    Returns:
        uint8 `[B, 1 + T, H, W, 3]`, and `[B, T, H, W, 2]` per reading and, if the model has one,
        for the TSRU on the pixels.
    """
    signature = tf.saved_model.load(str(export)).signatures["predict_with_motion"]
    count = signature.structured_input_signature[1]["conditioning_frames"].shape[1]
    given = tf.constant(clips[:, :count])
    outputs = signature(conditioning_frames=given)
    stages = [outputs[name] for name in sorted(outputs) if name.startswith("flow_stage_")]
    frames = tf.concat([given[:, -1:], outputs["frames"]], axis=1)
    shape = tuple(frames.shape[2:4])
    fields = {name: combine_stages(stages[:NUM_STAGES], of, shape) for name, of in READINGS.items()}
    if len(stages) > NUM_STAGES:
        fields["on the pixels"] = stages[NUM_STAGES]
    return frames.numpy(), {name: field.numpy() for name, field in fields.items()}


def differences(frames: np.ndarray, fields: dict[str, np.ndarray]) -> dict[str, float]:
    """Return the frame differences that remain after warping the earlier frame by each field."""
    earlier, later = (part.astype(np.float32) for part in (frames[:, :-1], frames[:, 1:]))
    flat = earlier.reshape(-1, *earlier.shape[2:])
    found = {"nothing moved": float(np.abs(later - earlier).mean())}
    for name, field in fields.items():
        moved = bilinear_sample(tf.constant(flat), tf.constant(field.reshape(-1, *field.shape[2:])))
        found[name] = float(np.abs(later - moved.numpy().reshape(later.shape)).mean())
    return found


def draw(frames: np.ndarray, fields: dict[str, np.ndarray], every: int) -> np.ndarray:
    """Draw one clip's predictions above its fields, each field at its own full scale.

    Args:
        frames: uint8 `[1 + T, H, W, 3]`.
        fields: `[T, H, W, 2]` each.
        every: draw every n-th frame.
    """
    rows = [("predicted", frames[1:])]
    for name, field in fields.items():
        largest = motion.full_scale(field)
        rows.append((f"{name}: {largest:.1f} px", motion.flow_to_color(field, largest=largest)))
    times = range(0, len(frames) - 1, every)
    left = text_width([name for name, _ in rows]) + 2 * GAP
    side = upscale(frames[:1], smallest_side=SIDE).shape[1]
    canvas = Image.new(
        "RGB", (left + len(times) * cell(side) + GAP, LINE + len(rows) * cell(side) + GAP), PAPER
    )
    pen = ImageDraw.Draw(canvas)
    for row, (name, pictures) in enumerate(rows):
        top = LINE + row * cell(side)
        write(pen, (GAP, top + side - LINE), name)
        for column, time in enumerate(times):
            large = upscale(pictures[time : time + 1], smallest_side=SIDE)[0]
            corner = (left + column * cell(side), top)
            paste(canvas, large, corner, INK if row else PREDICTED)
            if not row:
                write(pen, (corner[0], 0), f"+{time + 1}")
    wheel = Image.fromarray(motion.color_wheel(56))
    canvas.paste(wheel, (GAP, GAP), wheel)
    return np.asarray(canvas)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--clip", type=int, default=0, help="which one is drawn (default: 0)")
    parser.add_argument("--every", type=int, default=2, help="n-th frame is drawn (default: 2)")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG")
    args = parser.parse_args()
    with np.load(args.export / "held_out_clips.npz") as stored:
        clips = stored["clips"]
    frames, fields = predict(args.export, clips)
    for name, difference in differences(frames, fields).items():
        print(f"{name}: {difference:.3f} grey levels")
    one = {name: field[args.clip] for name, field in fields.items()}
    print(write_png(args.output, draw(frames[args.clip], one, args.every)))


if __name__ == "__main__":
    main()
