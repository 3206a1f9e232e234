"""Checks an export the way others will load it: in clean processes, without this package.

    python export/verify.py EXPORT_DIR [--model_dir MODEL_DIR]

Predicts the same clips from the same latents through `hub.load`, `hub.KerasLayer`, a TF1 session
(as TensorFlow Serving loads a model) and `saved_model_cli run`, each in a process of its own that
cannot import trivd_tf, and with `--model_dir` through the generator itself, restored at the step of
the export (its kernels rounded alike, where the export stores them in 16 bits). All must agree with
`tf.saved_model.load` within 1e-5 in [-1, 1] before rounding, and bytes must be the rounded floats.
Prints a table; exits with 1 where something disagrees and with 2 where there is no export.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TOLERANCE = 1e-5
SEED = 11
NUM_CLIPS = 3
REFERENCE = "tf.saved_model.load"

_PROLOGUE = """
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.modules["trivd_tf"] = None  # importing it is an error from here on
import numpy as np
export, inputs, outputs = sys.argv[1:4]
given = np.load(inputs)
frames, z = given["conditioning_frames"], given["z"]
labels = {"labels": given["labels"]} if "labels" in given else {}
class_0 = {key: np.zeros_like(value) for key, value in labels.items()}
"""

_EPILOGUE = """
np.savez(outputs, **{k: np.asarray(v) for k, v in result.items()})
"""

_SIGNATURES = """
import tensorflow as tf
frames, z = tf.constant(frames), tf.constant(z)
labels = {key: tf.constant(value) for key, value in labels.items()}
class_0 = {key: tf.zeros_like(value) for key, value in labels.items()}
result = dict(model.signatures["sample_from_z"](conditioning_frames=frames, z=z, **labels))
default = model.signatures["serving_default"](conditioning_frames=frames, **class_0)
result["z_is_0"] = default["frames_float"]
result["called"] = model(frames)["frames_float"]
"""

WAYS = {
    REFERENCE: """
import tensorflow as tf
model = tf.saved_model.load(export)
"""
    + _SIGNATURES,
    "hub.load": """
import tensorflow_hub as hub
model = hub.load(export)
"""
    + _SIGNATURES,
    "hub.KerasLayer": """
import tensorflow as tf
import tensorflow_hub as hub
layer = hub.KerasLayer(export)
result = {"called": layer(tf.constant(frames))["frames_float"]}
def signature(name):
    return hub.KerasLayer(export, signature=name, signature_outputs_as_dict=True)
def tensors(**arrays):
    return {key: tf.constant(value) for key, value in arrays.items()}
clips = tensors(conditioning_frames=frames, **class_0)
result["z_is_0"] = signature("serving_default")(clips)["frames_float"]
drawn = signature("sample_from_z")(tensors(conditioning_frames=frames, z=z, **labels))
result.update(drawn)
""",
    "TF1 session": """
import tensorflow as tf
with tf.compat.v1.Session(graph=tf.Graph()) as session:
    signatures = tf.compat.v1.saved_model.load(session, ["serve"], export).signature_def
    def run(name, **feeds):
        signature = signatures[name]
        fetches = {key: info.name for key, info in signature.outputs.items()}
        return session.run(fetches, {signature.inputs[k].name: v for k, v in feeds.items()})
    result = run("sample_from_z", conditioning_frames=frames, z=z, **labels)
    result["z_is_0"] = run("serving_default", conditioning_frames=frames)["frames_float"]
""",
    "saved_model_cli run": """
import subprocess, tempfile
folder = tempfile.mkdtemp()
np.save(folder + "/frames.npy", frames)
np.save(folder + "/z.npy", z)
script = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
module = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
command = [*([script] if os.path.exists(script) else module), "run"]
def run(signature, inputs):
    done = subprocess.run(
        [*command, "--dir", export, "--tag_set", "serve", "--signature_def", signature,
         "--inputs", inputs, "--outdir", folder + "/out", "--overwrite"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    if done.returncode:
        sys.exit("saved_model_cli: " + (done.stderr.strip().splitlines() or ["failed"])[-1])
    return {k: np.load(folder + f"/out/{k}.npy") for k in ("frames", "frames_float")}
clips = f"conditioning_frames={folder}/frames.npy"
drawn = default = clips
for key, value in labels.items():
    np.save(folder + "/labels.npy", value)
    np.save(folder + "/class_0.npy", class_0[key])
    drawn += f";{key}={folder}/labels.npy"
    default += f";{key}={folder}/class_0.npy"
result = run("sample_from_z", drawn + f";z={folder}/z.npy")
result["z_is_0"] = run("serving_default", default)["frames_float"]
""",
}

# The one way that needs the package: the generator as `trivd predict` uses it.
_IN_PROCESS = """
import os, sys
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
model_dir, inputs, outputs, repository, step, weight_type, *standing = sys.argv[1:]
sys.path.insert(0, repository)
given = np.load(inputs)
frames, z, labels = given["conditioning_frames"], given["z"], given.get("labels")
import tensorflow as tf
from trivd_tf.exporting.exported_graph import stored_value
from trivd_tf.inference.horizon import predict_horizon
from trivd_tf.runs.open import open_run
names = ("standing_batches", "standing_batch_size")
standing = dict(zip(names, map(int, standing)))
generator = open_run(model_dir, step=int(step), **standing).generator
for variable in generator.variables:
    variable.assign(tf.cast(stored_value(variable, weight_type), variable.dtype))
result = {k: v.numpy() for k, v in predict_horizon(generator, frames, z, labels).items()}
result["z_is_0"] = predict_horizon(generator, frames, np.zeros_like(z))["frames_float"].numpy()
"""

IN_PROCESS = "generator in process"


def clean_environment() -> dict[str, str]:
    """The environment without anything that would put this package on the path."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
    return {key: value for key, value in os.environ.items() if key not in hidden}


def run_way(code: str, arguments: list[str], folder: Path) -> dict[str, np.ndarray]:
    """Runs `code` in a fresh process that starts in an empty folder; returns what it saved."""
    outputs = folder / "outputs.npz"
    outputs.unlink(missing_ok=True)
    command = [sys.executable, "-c", code, arguments[0], str(folder / "inputs.npz"), str(outputs)]
    done = subprocess.run(
        [*command, *arguments[1:]],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise RuntimeError(lines[-1])
    with np.load(outputs) as loaded:
        return dict(loaded)


def make_inputs(stated: dict[str, Any], folder: Path) -> None:
    """Writes clips, latents and labels (of a model with classes) of the shapes stated."""
    size = stated["frame_size"]  # a side, or [height, width]
    frame = size if isinstance(size, list) else [size, size]
    clip = [NUM_CLIPS, stated["num_conditioning_frames"], *frame, 3]
    rng = np.random.default_rng(SEED)
    classes = stated.get("num_classes", 1)
    labels = {"labels": rng.integers(0, classes, [NUM_CLIPS], np.int32)} if classes > 1 else {}
    np.savez(
        folder / "inputs.npz",
        conditioning_frames=rng.integers(0, 256, clip, np.uint8),
        z=rng.standard_normal([NUM_CLIPS, stated["latent_size"]]).astype(np.float32),
        **labels,
    )


def rounded(frames_float: np.ndarray) -> np.ndarray:
    """The bytes that float pixels in [-1, 1] stand for."""
    return np.round(np.clip((frames_float + 1.0) * 127.5, 0.0, 255.0)).astype(np.int64)


def compare(result: dict[str, np.ndarray], reference: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest differences to the reference, in [-1, 1], and of bytes to rounded floats."""
    gaps = {
        "from z": float(np.abs(result["frames_float"] - reference["frames_float"]).max()),
        "z = 0": float(np.abs(result["z_is_0"] - reference["z_is_0"]).max()),
    }
    if "called" in result:
        gaps["called"] = float(np.abs(result["called"] - reference["z_is_0"]).max())
    off = np.abs(result["frames"].astype(np.int64) - rounded(result["frames_float"]))
    gaps["rounding"] = float(off.max())
    return gaps


def verify(export_dir: Path, model_dir: Path | None) -> bool:
    """Runs every way and prints the table; True where all agree."""
    agreed = True
    stated = json.loads((export_dir / "export.json").read_text())
    weights = f"{stated['weight_type']} weights, {stated['num_classes']} classes"
    print(f"{export_dir}: step {stated['step']}, {weights}")
    print(f"largest difference to {REFERENCE}, pixels in [-1, 1]")
    print(f"{'':22}{'from z':>10}{'z = 0':>10}{'called':>10}{'rounding':>10}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(stated, folder)
        runs = {
            way: (_PROLOGUE + code + _EPILOGUE, [str(export_dir)]) for way, code in WAYS.items()
        }
        if model_dir is not None:
            repository = str(Path(__file__).resolve().parent.parent)
            of_export = [str(stated["step"]), stated["weight_type"]]
            if weights_key := stated.get("weights"):
                of_export += [str(weights_key[name]) for name in ("batches", "batch_size")]
            runs[IN_PROCESS] = (_IN_PROCESS + _EPILOGUE, [str(model_dir), repository, *of_export])
        reference: dict[str, np.ndarray] = {}
        for way, (code, arguments) in runs.items():
            try:
                result = run_way(code, arguments, folder)
                reference = reference or result
                gaps = compare(result, reference)
            except (RuntimeError, OSError, KeyError, ValueError) as error:
                print(f"{way:22}failed: {error}")
                agreed = False
                continue
            cells = [gaps.get(key) for key in ("from z", "z = 0", "called", "rounding")]
            line = "".join(f"{'-':>10}" if gap is None else f"{gap:10.1e}" for gap in cells)
            right = max(gap for gap in cells[:3] if gap is not None) <= TOLERANCE
            right = right and gaps["rounding"] == 0
            print(f"{way:22}{line}  {'ok' if right else 'DIFFERS'}", flush=True)
            agreed = agreed and right
    print(
        f"all agree within {TOLERANCE}" if agreed else "the export does NOT load alike everywhere"
    )
    return agreed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export_dir", type=Path, help="what `trivd export` wrote")
    parser.add_argument("--model_dir", type=Path, help="also compare with this model directory")
    arguments = parser.parse_args(argv)
    if not all(
        (arguments.export_dir / name).is_file() for name in ("saved_model.pb", "export.json")
    ):
        print(f"{arguments.export_dir}: not what `trivd export` wrote", file=sys.stderr)
        return 2
    model_dir = arguments.model_dir.resolve() if arguments.model_dir else None
    return 0 if verify(arguments.export_dir.resolve(), model_dir) else 1


if __name__ == "__main__":
    sys.exit(main())
