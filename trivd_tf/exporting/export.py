"""`export_model`: exports a trained generator to a directory for loading and serving."""

import dataclasses
import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trivd_tf.base import model_files
from trivd_tf.base.errors import InputError
from trivd_tf.base.storage import whole_directory, whole_file
from trivd_tf.exporting import model_card, saved_model, warm_up
from trivd_tf.exporting.destination import archive_of, check_destination, list_files
from trivd_tf.exporting.exported_graph import WEIGHT_TYPES, ExportedGraph
from trivd_tf.runs.open import RestoredModel, open_run

_CLIPS_COMPARED = 8


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """Paths and metadata of a written export.

    Attributes:
        directory: the SavedModel.
        archive: the SavedModel as `.tar.gz` in TF-Hub's format; None if not requested.
        metadata: the content of `export.json`.
    """

    directory: Path
    archive: Path | None
    metadata: dict[str, Any]


def export_model(
    model_dir: str | os.PathLike[str],
    export_dir: str | os.PathLike[str],
    *,
    weight_type: str = "float32",
    archive: bool = True,
    step: int | str | None = None,
    standing_batches: int | None = None,
    standing_batch_size: int | None = None,
) -> ExportResult:
    """Exports a model directory's averaged weights and standing statistics as a SavedModel.

    Beside the SavedModel, `export_dir` contains README.md (the model card), labels.txt, config.gin,
    export.json and warm-up requests for TensorFlow Serving. It is written atomically. An existing
    export is replaced, unless it holds files that it does not list or that were edited since.

    Args:
        model_dir: a model directory written by `trivd train`.
        export_dir: destination; TensorFlow Serving requires a number as the last component, such as
            `trivd/1`.
        weight_type: `float32`, or `float16` or `bfloat16` to store kernels in half the space; the
            resulting difference is measured and recorded.
        archive: also write `EXPORT_DIR.tar.gz`.
        step: checkpoint step, or "best"; defaults to the newest.
        standing_batches, standing_batch_size: number and size of the batches for the standing
            statistics; default to the run's configuration.

    Raises:
        InputError: `model_dir` is not a model directory, `weight_type` is unknown, or `export_dir`
            or its archive is something other than an unchanged export.
        RunError: the export cannot be written.
    """
    if weight_type not in WEIGHT_TYPES:
        raise InputError(
            f"weight type must be one of {', '.join(WEIGHT_TYPES)}; received {weight_type!r}"
        )
    check_destination(Path(export_dir), archive=archive)
    restored = open_run(
        model_dir,
        step=step,
        standing_batches=standing_batches,
        standing_batch_size=standing_batch_size,
    )
    return export_restored(restored, export_dir, weight_type=weight_type, archive=archive)


def export_restored(
    restored: RestoredModel,
    export_dir: str | os.PathLike[str],
    *,
    weight_type: str = "float32",
    archive: bool = True,
) -> ExportResult:
    """As `export_model`, for a model in memory."""
    export_dir = Path(export_dir)
    check_destination(export_dir, archive=archive)
    graph = ExportedGraph(
        restored.generator, weight_type=weight_type, stride=restored.stride, fps=restored.fps
    )
    metadata = describe(restored, graph, weight_type)
    with whole_directory(export_dir) as partial:
        _save_graph(graph, partial)
        warm_up.write(partial, _warm_up_requests(graph))
        labels = "".join(f"{label}\n" for label in restored.labels)
        (partial / model_files.LABELS).write_text(labels)
        (partial / model_files.CONFIG).write_text(restored.config)
        (partial / "README.md").write_text(model_card.render(restored, metadata))
        metadata["files"] = list_files(partial)
        (partial / model_files.EXPORT_RECORD).write_text(json.dumps(metadata, indent=2) + "\n")
        # Check again: writing takes minutes, and files may have been added in the meantime.
        check_destination(export_dir, archive=archive)
    packed = None
    if archive:
        packed = archive_of(export_dir)
        write_archive(export_dir, packed)
    return ExportResult(directory=export_dir, archive=packed, metadata=metadata)


def _save_graph(graph: ExportedGraph, directory: Path) -> None:
    try:
        saved_model.save(graph, directory)
    except tf.errors.OpError as error:  # raised by TensorFlow for a full disk
        raise OSError(" ".join(str(error).split())[:200]) from error


def describe(restored: RestoredModel, graph: ExportedGraph, weight_type: str) -> dict[str, Any]:
    """Returns the content of `export.json`: shapes, weights, signatures and their origin."""
    generator = restored.generator
    kernels = [weight for weight in graph.weights if weight.trainable]
    metadata = {
        "title": restored.title,
        "data": restored.data,
        "step": restored.step,
        "num_conditioning_frames": generator.num_conditioning_frames,
        "num_predicted_frames": generator.num_predicted_frames,
        "frame_size": generator.frame_size,
        "stride": restored.stride,
        "fps": restored.fps,
        "latent_size": generator.latent_size,
        "num_classes": graph.num_classes,
        "has_motion": graph.has_motion,
        "parameters": int(sum(np.prod(weight.shape) for weight in kernels)),
        "weight_type": weight_type,
        "weights": restored.weights.to_json() if restored.weights else None,
        "signatures": sorted(saved_model.signature_names(graph)),
        "versions": {"tensorflow": tf.__version__, **restored.run.get("versions", {})},
        "git": restored.run.get("git"),
    }
    if weight_type != "float32":
        metadata["difference_from_float32"] = _difference(restored, graph)
    return metadata


def _difference(restored: RestoredModel, graph: ExportedGraph) -> dict[str, float]:
    """Measures the effect of 16-bit kernels on smooth random clips and random latents."""
    exact = ExportedGraph(restored.generator, stride=restored.stride)
    rng = np.random.default_rng(0)
    count, height, width, _ = graph.clip_shape
    coarse = rng.uniform(0, 255, [_CLIPS_COMPARED * count, 4, 4, 3])
    smooth = tf.image.resize(coarse, [height, width], "bicubic")
    clips = tf.cast(tf.clip_by_value(smooth, 0, 255), tf.uint8)
    clips = tf.reshape(clips, [_CLIPS_COMPARED, *graph.clip_shape])
    z = tf.constant(rng.standard_normal([_CLIPS_COMPARED, graph.latent_size]), tf.float32)
    ours, theirs = graph.plain(clips, z), exact.plain(clips, z)
    float_gap = np.abs(ours["frames_float"].numpy() - theirs["frames_float"].numpy())
    byte_gap = np.abs(ours["frames"].numpy().astype(int) - theirs["frames"].numpy())
    return {
        "clips": _CLIPS_COMPARED,
        "largest_in_minus1_to_1": float(float_gap.max()),
        "mean_in_minus1_to_1": float(float_gap.mean()),
        "largest_grey_levels": int(byte_gap.max()),
        "share_of_bytes_changed": float((byte_gap > 0).mean()),
    }


def _warm_up_requests(graph: ExportedGraph) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Returns a one-clip request per signature whose inputs have a batch axis (`warm_up.write`)."""
    frames = {"conditioning_frames": np.full([1, *graph.clip_shape], 127, np.uint8)}
    if graph.has_classes:
        frames["labels"] = np.zeros([1], np.int32)
    z = {"z": np.zeros([1, graph.latent_size], np.float32)}
    requests: list[tuple[str, dict[str, np.ndarray]]] = [
        ("serving_default", frames),
        ("sample_from_z", {**frames, **z}),
    ]
    if graph.has_motion:
        requests.append(("predict_with_motion", frames))
        requests.append(("predict_with_motion_from_z", {**frames, **z}))
    return requests


def write_archive(export_dir: Path, archive: Path) -> None:
    """Packs an export in TF-Hub's format: `saved_model.pb` at the top level of the archive.

    The same export gives the same bytes: names are sorted, times and owners are omitted.
    """

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        return member

    with (
        whole_file(archive) as partial,
        open(partial, "wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(export_dir.rglob("*")):
            tar.add(path, path.relative_to(export_dir), recursive=False, filter=anonymous)
