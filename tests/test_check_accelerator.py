"""tools/check_accelerator.py: what it runs, leaves out and reports."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


report = load("accelerator_report")
tool = load("check_accelerator")
STEP = {
    "seconds_a_step": 0.2612,
    "share_of_convolution_rate": 0.5,
    "operations_a_step": 3210.0,
    "first_call_seconds": 41.6,
}


def fails():
    raise report.Failure("gradients differ\nand more")


def breaks():
    raise RuntimeError


CHECKS = [
    report.Check("good", lambda: {"x": 1}),
    report.Check("bad", fails),
    report.Check("broken", breaks),
    report.Check("step, ch 8, float32", lambda: STEP, "accelerator"),
]


@pytest.mark.parametrize(("kind", "last"), [("CPU", "left out"), ("GPU", "passed")])
def test_every_check_gets_a_row(kind, last):
    said = []
    rows = report.carry_out(CHECKS, kind, said.append)
    assert [row["status"] for row in rows] == ["passed", "failed", "failed", last]
    assert [row.get("reason") for row in rows[1:3]] == ["gradients differ", "RuntimeError"]
    assert len(said) == len(rows)
    text = report.as_markdown(
        {"device": "1 x H100", "tensorflow": "2.21", "seconds": 90, "checks": rows}
    )
    assert text.startswith("# 1 x H100, TensorFlow 2.21\n")
    assert ("| 0.261 | 50% | 3,210 | 42 |" in text) == (kind == "GPU")
    assert ("needs an accelerator" in text) == (kind == "CPU")
    counts = "1 passed, 2 failed, 1 left out" if kind == "CPU" else "2 passed, 2 failed, 0 left out"
    assert f"\n{counts}; 1.5 minutes in all.\n" in text
    assert "| good | passed | 0.0 | x 1 |" in text


def machine(tmp_path):
    return tool.Machine(tmp_path, "CPU")


def test_a_machine_without_an_accelerator_times_no_steps(tmp_path):
    checks = tool.all_checks(machine(tmp_path), benchmarks=True)
    without = [check.name for check in checks if not check.needs]
    assert {"kill and resume", "evaluate", "export", "predict", "demo"} <= set(without)
    timed = [check.name for check in checks if check.name.startswith("step, ")]
    assert len(timed) == len(tool.WIDTHS) * len(tool.PRECISIONS) + 1
    assert not set(timed) & set(without)


@pytest.mark.parametrize(("cores", "ahead"), [(2, 0), (16, 1)])
def test_a_run_is_trained_once(cores, ahead, tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(tool.Machine, "python", lambda _, *command: commands.append(command))
    made = tool.Machine(tmp_path, "CPU", cores=cores)
    made.train_ahead("first")
    made.train_ahead("second", "a.b = 1")
    assert len(made._ahead) == 2 * ahead
    made.train("first")
    made.train("second", "a.b = 1")
    assert [command[-1] for command in commands] == [str(tmp_path / n) for n in ("first", "second")]
    made.train("first")
    assert len(commands) == 3


def test_a_difference_from_the_cpu_is_a_failure(tmp_path, monkeypatch):
    found = {"losses": 1e-6, "gradients": 3e-5}
    monkeypatch.setattr(tool.Machine, "worker", lambda *_, **__: found)
    assert tool.compare_with_cpu(machine(tmp_path), "without TF32")["gradients"] == 3e-5
    found["gradients"] = 2e-4
    tool.compare_with_cpu(machine(tmp_path), "with TF32")
    with pytest.raises(report.Failure, match=r"more than 0\.0001"):
        tool.compare_with_cpu(machine(tmp_path), "without TF32")
    found["gradients"] = float("nan")
    with pytest.raises(report.Failure):
        tool.compare_with_cpu(machine(tmp_path), "mixed_bfloat16")


def test_runs_that_differ_in_one_digit_are_not_the_same(tmp_path, monkeypatch):
    for name, value in (("one", 0.5), ("same", 0.5), ("other", 0.50000001)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "losses.jsonl").write_text(f'{{"step": 1, "loss": {value}}}\n')
    answer = {"variables": 7, "different": []}
    monkeypatch.setattr(tool.Machine, "worker", lambda *_, **__: answer)
    same = tool.check_same_run(machine(tmp_path), "one", "same")
    assert same == {"steps": 1, "variables": 7}
    with pytest.raises(report.Failure, match="losses of one and other differ"):
        tool.check_same_run(machine(tmp_path), "one", "other")
    answer["different"] = ["generator/0001/kernel"]
    with pytest.raises(report.Failure, match="1 variables differ"):
        tool.check_same_run(machine(tmp_path), "one", "same")


def test_what_a_command_says_is_the_reason(tmp_path):
    with pytest.raises(report.Failure, match="ValueError: no such device"):
        machine(tmp_path).python("-c", "raise ValueError('no such device')")


def worker(*arguments):
    done = subprocess.run(
        [sys.executable, TOOLS / "accelerator_worker.py", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_differences_are_relative_to_the_largest_value(tmp_path):
    names = ("losses/a", "losses/b", "gradients/g")
    for name, values in (("one", (4.0, 0.0, [1.0, 10.0])), ("two", (4.0, 0.1, [1.5, 10.0]))):
        arrays = [np.array(value) for value in values]
        np.savez(tmp_path / f"{name}.npz", **dict(zip(names, arrays, strict=True)))
    found = worker("compare", tmp_path / "one.npz", tmp_path / "two.npz")
    assert found == pytest.approx({"losses": 0.025, "gradients": 0.05})
