"""tools/measure_islands.py: names of programs, counts of HLO, times in TensorFlow's log."""

import importlib.util
import sys
from pathlib import Path

import pytest
import tensorflow as tf

PATH = Path(__file__).resolve().parent.parent / "tools" / "measure_islands.py"
spec = importlib.util.spec_from_file_location("measure_islands", PATH)
assert spec is not None
assert spec.loader is not None
tool = importlib.util.module_from_spec(spec)
sys.modules["measure_islands"] = tool
spec.loader.exec_module(tool)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("__inference_iterate_12", "power iterations"),
        ("__forward__normalize_345", "conditional batch norm"),
        ("__inference___backward__normalize_57_150", "conditional batch norm, backward"),
        ("__inference___backward_normalized_kernels_1_2", "spectral norms, backward"),
        ("a_inference_apply_99", "optimizer"),
        ("__inference_other_7", "__inference_other_7"),
    ],
)
def test_names_of_programs(name, kind):
    assert tool.kind_of_program(name) == kind


def test_hlo_is_counted(tmp_path):
    @tf.function(jit_compile=True, autograph=False)
    def run(frames, kernel, matrix):
        once = tf.nn.conv2d(frames, kernel, 1, "SAME")
        return tf.matmul(tf.nn.conv2d(once, kernel, 1, "SAME")[0, 0], matrix)

    arguments = tf.ones([1, 4, 4, 2]), tf.ones([3, 3, 2, 2]), tf.ones([2, 5])
    text = run.experimental_get_compiler_ir(*arguments)(stage="hlo")
    instructions, convolutions, dots = tool.count_hlo(text)
    assert (convolutions, dots) == (2, 1)
    assert instructions > 3
    for number, name in enumerate(("a_inference_apply_1__", "a_inference_apply_22__")):
        path = tmp_path / f"module_000{number}.{name}.5.before_optimizations.txt"
        path.write_text(text)
    (tmp_path / "module_0000.a_inference_apply_1__.5.cpu_after_optimizations.txt").write_text(text)
    rows = tool.read_programs(tmp_path)
    assert rows == {"optimizer": tool.Row(2, 2 * instructions, 4, 2)}


def test_seconds_are_read_from_the_log():
    line = "I0000 00:00:1.2 3 device_compilation_profiler.cc:113] Compiled {} 1 times, compile "
    line += "time: {} us, cumulative: {} us (0 us / 565 ms)\n"
    log = line.format("__inference_iterate_1", 565383, 565383)
    log += "another line\n" + line.format("__inference_iterate_2", 1000000, 1000000)
    seconds = tool.read_seconds(log)
    assert seconds == {"power iterations": pytest.approx(1.565383)}
    table = tool.as_markdown({"power iterations": tool.Row(2, 1234, 0, 6, 1.565)})
    assert table.splitlines()[-1] == "| all | 2 | 1,234 | 0 | 6 | 1.6 |"
