"""Model card (README.md) of an export: description, scores, intended use and limitations."""

from typing import Any

from trivd_tf.base.frame_size import height_width, size_text
from trivd_tf.runs.open import RestoredModel

_WARNINGS = """\
## Misuse, and samples of real people

Video prediction can be misused: generated frames of people, or of events that never took place, can
deceive, harass or spread false claims. Do not present predictions of this model as recordings, mark
them as generated wherever they are shown, and do not use them to identify, monitor or imitate a
person.

Models trained on Kinetics (or any collection of videos found on the web) learned from recordings
of people who did not consent. Predictions may resemble them. The authors of the paper trained on
Kinetics for research; before you publish samples of such a model, check the terms of the training
videos, publish few and small samples, and take them down on request. The same holds for
conditioning frames: they are the user's, and are shown beside every prediction.

Predictions repeat the content of the training data: who and what occurs in it, how often, and how.
They say nothing about what will happen. Do not base decisions about people or safety on them.
"""


def render(restored: RestoredModel, metadata: dict[str, Any]) -> str:
    """Renders the model card as Markdown.

    Args:
        restored: the model and its run.
        metadata: the content of `export.json`.
    """
    parts = [
        _head(metadata),
        _use(metadata),
        _scores(restored, metadata),
        _training(restored, metadata),
        "## Intended use\n\nResearch on video prediction: viewing futures of short, small "
        "clips, comparing models, fine-tuning. It was trained for "
        f"{size_text(metadata['frame_size'])} pixels and a horizon of "
        f"{metadata['num_predicted_frames']} frames; longer futures feed predicted "
        "frames back and lose quality with every horizon.\n",
        _WARNINGS,
        "## Reference\n\nP. Luc, A. Clark, S. Dieleman, D. de Las Casas, Y. Doron, A. Cassirer, "
        "K. Simonyan: Transformation-based Adversarial Video Prediction on Large-Scale Data, "
        "2020.\n",
    ]
    return "\n".join(parts)


def _head(metadata: dict[str, Any]) -> str:
    count, steps = metadata["num_conditioning_frames"], metadata["num_predicted_frames"]
    size = size_text(metadata["frame_size"])
    stride = metadata["stride"]
    every = "consecutive frames" if stride == 1 else f"one frame in {stride}"
    if metadata.get("fps"):
        every += f" of a video resampled to {metadata['fps']:g} frames per second"
    else:
        every += " of a video"
    return (
        f"# {metadata['title']}\n\n"
        f"A video prediction model (TrIVD-GAN family): from {count} frames of {size} pixels "
        f"({every}) it predicts the next {steps}. "
        f"{metadata['parameters']:,} parameters, stored as {metadata['weight_type']}; averaged "
        "weights, standing statistics, inference only.\n"
    )


def _use(metadata: dict[str, Any]) -> str:
    count = metadata["num_conditioning_frames"]
    height, width = height_width(metadata["frame_size"])
    frames = f"`conditioning_frames` uint8 [B, {count}, {height}, {width}, 3]"
    square = height == width
    fit = f"the smallest side is {height}" if square else f"they just cover {height} x {width}"
    rows = [
        ("`serving_default`", frames, "`frames` uint8, `frames_float` in [-1, 1]; z = 0"),
        (
            "`sample`",
            "also `seed` int64, `truncation` float32, `num_samples` int32",
            "`num_samples` futures per clip, rows `clip * num_samples + sample`",
        ),
        ("`sample_from_z`", f"also `z` float32 [B, {metadata['latent_size']}]", "as above"),
        ("`predict_long`", "as `sample`, also `num_frames` int32", "any number of frames"),
    ]
    if metadata["has_motion"]:
        flow = "also `flow` [B, T, H, W, 2] and each stage's `flow_stage_1` ..., coarsest first"
        rows.append(("`predict_with_motion`", "as `serving_default`", flow))
        rows.append(("`predict_with_motion_from_z`", "as `sample_from_z`", flow))
    labels = ""
    if metadata["num_classes"] > 1:
        labels = (
            f"\nEvery signature also takes `labels` int32 [B], from 0 to "
            f"{metadata['num_classes'] - 1}: each clip's class, a line of `labels.txt` (the first "
            "is 0). The default is class 0.\n"
        )
    table = "\n".join(f"| {name} | {inputs} | {outputs} |" for name, inputs, outputs in rows)
    return f"""\
## Use

```python
import tensorflow as tf

model = tf.saved_model.load("PATH")  # or tensorflow_hub.load
futures = model.sample(tf.constant(clip), seed=1, truncation=0.8, num_samples=3)["frames"]
```

| signature | inputs | outputs |
|---|---|---|
{table}

Frames are bytes from 0 to 255, resized beforehand so that {fit},
and cropped to the center. Pass them as a tensor: TensorFlow rejects a tensor of another type, but
silently converts a NumPy array of floats to bytes.

`truncation`: 0 means z = 0 (one typical future), 0.8 is a good start, infinity disables it. The
same seed gives the same result, which depends on a clip's index in the batch, not on the other
clips.
{labels}
Flow holds (dy, dx) in pixels from a pixel to the source of its value; objects move by its
negative. Through `signatures[...]` every input must be passed, as a keyword; a TF1 session and
TensorFlow Serving may leave out all but the frames (and z).
"""


def _scores(restored: RestoredModel, metadata: dict[str, Any]) -> str:
    if metadata["weight_type"] != "float32":
        return (
            "## Scores\n\nThese exact weights were not scored: kernels are stored as "
            f"{metadata['weight_type']}. `trivd evaluate --model EXPORT_DIR` scores this export.\n"
        )
    if not restored.scores:
        return (
            "## Scores\n\nThese weights were not evaluated before the export. `trivd evaluate "
            "--model_dir ...` scores a model; export again to have the scores here.\n"
        )
    names = list(dict.fromkeys(name for row in restored.scores.values() for name in row))
    rows = "\n".join(
        f"| {title} | {' | '.join(figures.get(name, '') for name in names)} |"
        for title, figures in restored.scores.items()
    )
    return (
        "## Scores\n\n"
        f"| | {' | '.join(names)} |\n|---|{'---:|' * len(names)}\n{rows}\n\n"
        f"How they were measured: {restored.protocol}.\n\n"
        "A score means nothing apart from its protocol; compare only scores with the same one.\n"
    )


def _training(restored: RestoredModel, metadata: dict[str, Any]) -> str:
    git = metadata.get("git") or {}
    revision = git.get("revision", "unknown") + (" (with changes)" if git.get("dirty") else "")
    versions = ", ".join(f"{name} {version}" for name, version in metadata["versions"].items())
    text = (
        "## Training\n\n"
        f"Data: {restored.data}. {restored.step:,} generator updates. Code revision {revision}; "
        f"{versions}. The complete configuration is in `config.gin`, the class names are in "
        "`labels.txt`.\n"
    )
    if restored.weights:
        text += f"\nThese are the {restored.weights}.\n"
    difference = metadata.get("difference_from_float32")
    if difference:
        text += (
            f"\nKernels are stored as {metadata['weight_type']} and computed with as float32. "
            f"Measured on {difference['clips']} smooth random clips against float32 weights: "
            f"largest difference {difference['largest_in_minus1_to_1']:.2g} and mean "
            f"{difference['mean_in_minus1_to_1']:.2g} in [-1, 1]; "
            f"{100 * difference['share_of_bytes_changed']:.2g} % of the bytes change, by at most "
            f"{difference['largest_grey_levels']} grey levels.\n"
        )
    return text
