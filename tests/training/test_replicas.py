"""Results do not depend on the number of replicas: 1, 2 and 4 devices, and two worker processes.

In float64 with SGD and the mixed projection over the global batch, so that only a wrong reduction
can make a difference: Adam with beta1 = 0 would blow rounding up. With SGD the change of the
weights in one step is the gradient, times the learning rate.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("replica_run.py")
HANGS_AFTER = 1200  # seconds
ROUNDING = {"float64": 1e-12, "float32": 2e-5}


def start(output: Path, *arguments: str, tf_config: str = "") -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    if tf_config:
        environment["TF_CONFIG"] = tf_config
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments, "--output", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def finish(processes: list[subprocess.Popen], output: Path) -> dict[str, np.ndarray]:
    try:
        for process in processes:
            said, _ = process.communicate(timeout=HANGS_AFTER)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in processes:
            process.kill()
    with np.load(output) as arrays:
        return dict(arrays)


def run(folder: Path, *arguments: str) -> dict[str, np.ndarray]:
    output = folder / f"{'_'.join(arguments).replace('-', '')}.npz"
    return finish([start(output, *arguments)], output)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def cluster(count: int) -> list[str]:
    """TF_CONFIG of `count` workers on this machine."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
        for index in range(count)
    ]


def differences(one: dict[str, np.ndarray], many: dict[str, np.ndarray]) -> dict[str, float]:
    """The largest difference of each result, relative to the largest value."""
    names = ("losses", "changes", "weights", "averages", "moments")
    return {
        name: float(np.abs(one[name] - many[name]).max() / np.abs(one[name]).max())
        for name in names
    }


def check_same(one, many, tolerance: float) -> None:
    found = differences(one, many)
    print(f"{int(many['replicas'])} replicas against 1: {found}")
    assert max(found.values()) < tolerance, found


@pytest.fixture(scope="module")
def one_step(tmp_path_factory) -> dict[str, np.ndarray]:
    return run(tmp_path_factory.mktemp("one"), "--replicas", "1")


def test_two_devices_give_the_result_of_one(one_step, tmp_path):
    two = run(tmp_path, "--replicas", "2")
    assert int(two["replicas"]) == 2
    check_same(one_step, two, ROUNDING["float64"])


@pytest.mark.long
def test_one_replica_left_out_of_the_reductions_is_noticed(one_step, tmp_path):
    found = differences(one_step, run(tmp_path, "--replicas", "2", "--broken"))
    print(f"one replica left out: {found}")
    assert min(found[name] for name in ("losses", "changes", "moments")) > 1e-3, found


@pytest.mark.long
@pytest.mark.parametrize("replicas", [1, 2])
def test_recomputing_changes_nothing(one_step, tmp_path, replicas):
    found = run(tmp_path, "--replicas", str(replicas), "--recompute")
    check_same(one_step, found, ROUNDING["float64"])


@pytest.mark.long
@pytest.mark.parametrize("replicas", [2, 4])
def test_ten_steps_are_the_same(tmp_path, replicas):
    more = ["--steps", "10", "--frames", "2"]
    one = run(tmp_path, "--replicas", "1", *more)
    check_same(one, run(tmp_path, "--replicas", str(replicas), *more), 1e-9)


@pytest.mark.long
@pytest.mark.parametrize("replicas", [2, 4])
def test_the_first_step_in_float32_is_the_same_within_rounding(tmp_path, replicas):
    more = ["--precision", "float32", "--frames", "2"]
    one = run(tmp_path, "--replicas", "1", *more)
    many = run(tmp_path, "--replicas", str(replicas), *more)
    # A change of 1e-3 in a weight of 1 is itself known to 1e-4 only.
    one.pop("changes"), many.pop("changes")
    one["changes"], many["changes"] = one["weights"], many["weights"]
    check_same(one, many, ROUNDING["float32"])


@pytest.mark.long
def test_two_workers_give_the_result_of_one_device(one_step, tmp_path):
    output = tmp_path / "workers.npz"
    workers = [
        start(output, "--strategy", "multi_worker", tf_config=config) for config in cluster(2)
    ]
    two = finish(workers, output)
    assert int(two["replicas"]) == 2
    check_same(one_step, two, ROUNDING["float64"])
