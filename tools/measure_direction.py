"""Measures how often a model's first predicted frame moves in the direction of the real one.

Usage:
    python tools/measure_direction.py MODEL CLIPS [--latents 3]

CLIPS is an array of clips, `[N, T, H, W, 3]` uint8 (`.npy`, or `.npz` with `clips`), conditioning
frames included. The motion of a frame is the horizontal shift of -3 to 3 pixels that explains its
brightness best from the last conditioning frame; clips where the real shift is 0 do not count.
Prints the share of clips with the right sign and PSNR for each latent seed, then the copy's PSNR.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

FARTHEST = 3


def shift(before: np.ndarray, after: np.ndarray) -> int:
    """Return the horizontal shift of `[H, W]` brightness that explains `after` best."""

    def difference(pixels: int) -> float:
        moved = np.roll(before, pixels, axis=1)
        inner = slice(FARTHEST, -FARTHEST)  # without what was rolled in
        return float(np.abs(moved[:, inner] - after[:, inner]).mean())

    return min(range(-FARTHEST, FARTHEST + 1), key=difference)


def directions(last: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Return the sign of the shift between two frames of each clip, `[N, H, W, 3]` each."""
    pairs = zip(last.mean(-1), first.mean(-1), strict=True)
    return np.sign([shift(before, after) for before, after in pairs])


def main(arguments: list[str] | None = None) -> int:
    """Print the measurements; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="anything that `trivd predict --model` takes")
    parser.add_argument("clips", type=Path)
    parser.add_argument("--latents", type=int, default=3, help="number of latent seeds")
    options = parser.parse_args(arguments)
    from trivd_tf.inference import load_predictor
    from trivd_tf.metrics import psnr

    stored = np.load(options.clips)
    clips = stored["clips"] if options.clips.suffix == ".npz" else stored
    predictor = load_predictor(options.model)
    count = predictor.num_conditioning_frames
    last, real = clips[:, count - 1], clips[:, count : count + predictor.num_predicted_frames]
    wanted = directions(last, real[:, 0])
    moving = wanted != 0
    for seed in range(options.latents):
        predicted = predictor.predict(clips[:, :count], seed=seed)
        right = (directions(last, predicted[:, 0]) == wanted)[moving].mean()
        score = psnr(real, predicted, ceiling=100.0).mean()
        print(f"seed {seed}: {right:.0%} of {moving.sum()} clips, PSNR {score:.2f} dB")
    copied = np.repeat(last[:, None], real.shape[1], axis=1)
    print(f"copy of the last frame: PSNR {psnr(real, copied, ceiling=100.0).mean():.2f} dB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
