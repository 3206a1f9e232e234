"""Combination of the stages' motion fields into one (docs/architecture.md, section 4)."""

from collections.abc import Sequence

import tensorflow as tf

from trivd_tf.ops import video, warp

NUM_STAGES = 3
STAGES = tuple(f"stage_{number}" for number in range(1, NUM_STAGES + 1))


def chosen_stages(names: Sequence[str], levels: int | None = None) -> tuple[str, ...]:
    """Return the checked names of the stages to combine; the `levels` coarsest if that is set.

    Raises:
        ValueError: a name is not one of `STAGES`, or `names` is empty.
    """
    if levels is not None and not 1 <= levels <= NUM_STAGES:
        raise ValueError(f"motion_levels must be 1 to {NUM_STAGES}. Received: {levels}")
    chosen = tuple(names) if levels is None else STAGES[:levels]
    if isinstance(names, str) or not chosen or not set(chosen) <= set(STAGES):
        raise ValueError(f"motion_stages must be some of {', '.join(STAGES)}. Received: {names!r}")
    return chosen


def combine_stages(
    flows: Sequence[tf.Tensor], stages: Sequence[str], frame_shape: tuple[int, int]
) -> tf.Tensor:
    """Combine the motion fields of several stages into one of the frames' size (paper, Fig. 3).

    Args:
        flows: `[B, T, h, w, 2]` of each stage, coarsest first, in that stage's pixels.
        stages: names of the stages to combine, such as `("stage_2", "stage_3")`.
        frame_shape: height and width of the frames.

    Returns:
        `[B, T, H, W, 2]`, in pixels of the frames.

    Raises:
        ValueError: a name is not one of `STAGES`, `stages` is empty, or a stage has no field.
    """
    chosen = chosen_stages(stages)
    if len(flows) != NUM_STAGES:
        raise ValueError(
            f"combine_stages needs the fields of {NUM_STAGES} stages. Received: {len(flows)}; a "
            "recurrent unit without a warp has none"
        )
    steps = flows[0].shape[1]
    # Stages that are left out, and the levels up to the frames' size, contribute no motion.
    levels = [
        video.fold_time(flow if name in chosen else tf.zeros_like(flow))
        for name, flow in zip(STAGES, flows, strict=True)
    ]
    while tuple(levels[-1].shape[1:3]) != frame_shape:
        batch, (height, width) = tf.shape(levels[-1])[0], levels[-1].shape[1:3]
        levels.append(tf.zeros([batch, 2 * height, 2 * width, 2], levels[-1].dtype))
    return tf.reshape(warp.compose_flows(levels), [-1, steps, *frame_shape, 2])
