"""`import trivd_tf` imports nothing heavy; its names come when they are asked for."""

import doctest
import importlib
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
before = set(sys.modules)
began = time.process_time()
import trivd_tf
seconds = time.process_time() - began
ours = sorted(name for name in sys.modules if name.split(".")[0] == "trivd_tf")
print(*ours, sep=",")
print(len(set(sys.modules) - before))
print(seconds)
print(*dir(trivd_tf), sep=",")
trivd_tf.ops
print("trivd_tf.ops" in sys.modules, "tensorflow" in sys.modules)
"""


def test_only_the_package_and_its_version_are_imported(repository):
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    ours, others, seconds, names, lazily = done.stdout.splitlines()
    assert ours.split(",") == ["trivd_tf", "trivd_tf._version"]
    # What `typing` and `importlib` bring; TensorFlow alone would bring thousands.
    assert int(others) < 40
    assert float(seconds) < 0.2
    assert {"load", "train", "metrics", "data"} <= set(names.split(","))
    assert lazily == "True False"


def test_unknown_names_are_attribute_errors():
    import trivd_tf

    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        trivd_tf.trian  # noqa: B018
    assert trivd_tf.metrics.psnr.__name__ == "psnr"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("metrics.frames", "psnr"),
        ("metrics.frames", "ssim"),
        ("metrics.inception_score", "inception_score"),
        ("layers.recurrent.tsru", "TSRU"),
    ],
)
def test_examples_in_help_run(module, name):
    found = importlib.import_module(f"trivd_tf.{module}")
    tests = doctest.DocTestFinder(recurse=False).find(getattr(found, name), name, found)
    assert sum(len(test.examples) for test in tests) >= 2
    assert sum(doctest.DocTestRunner().run(test).failed for test in tests) == 0


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("load", ("[B, N, T, H, W, 3]", "uint8", "[-1, 1]", "Raises", "InputError", ">>>")),
        ("train", ("[T, H, W, 3]", "uint8", "[-1, 1]", "Raises", "InputError", ">>>")),
    ],
)
def test_help_shows_shapes_ranges_errors_and_an_example(name, wanted):
    import trivd_tf

    text = getattr(trivd_tf, name).__doc__
    assert [part for part in wanted if part not in text] == []
