"""`trivd predict --server` as a user runs it: a fresh process against the stand-in server."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trivd_tf.cli.main import main
from trivd_tf.data.files.decode import decode_frames
from trivd_tf.inference.predict_files import predict_files

pytest.importorskip("tensorflow_serving")


@pytest.fixture(scope="module")
def server(served_model):
    from tests.serving.serving_stand_in import StandInServer

    stand_in = StandInServer(served_model)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def rest_server(server):
    from tests.serving.rest_stand_in import RestStandIn

    stand_in = RestStandIn(server.model)
    yield stand_in
    stand_in.close()


@pytest.fixture
def clip(made_videos: Path) -> Path:
    return made_videos / "clip0.mp4"


def predict(*arguments: str | Path) -> tuple[int, str, str]:
    """Status, stdout, stderr of `trivd predict` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "trivd_tf", "predict", *map(str, arguments)],
        env={name: value for name, value in os.environ.items() if not name.startswith("TF_")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_same_pictures_as_in_process(
    scheme, server, rest_server, exported, clip, tmp_path, capsys
) -> None:
    port = server.port if scheme == "grpc" else rest_server.port
    words = ["--server", f"{scheme}://127.0.0.1:{port}", str(clip), "--num_samples", "2"]
    words += ["--seed", "3", "--num_frames", "3", "--stride", "2"]
    words += ["--output", str(tmp_path / "served")]
    if scheme == "grpc":
        status, output, errors = predict(*words)
    else:  # one fresh process tells enough, and takes its seconds
        status, (output, errors) = main(["predict", *words]), capsys.readouterr()
    assert status == 0, errors
    predict_files(
        exported, [clip], tmp_path / "local", num_samples=2, seed=3, num_frames=3, progress=False
    )
    # But for the hidden record of what was written.
    expected = sorted((tmp_path / "local").glob("[!.]*"))
    assert sorted(output.splitlines()) == [str(tmp_path / "served" / p.name) for p in expected]
    for name in ("clip0_sample_1.mp4", "clip0_sample_2.mp4"):
        served, local = (list(decode_frames(tmp_path / way / name)) for way in ("served", "local"))
        assert len(served) == 2 + 3
        # The session may round a pixel the other way; H.264 spreads that a little.
        assert np.abs(np.asarray(served).astype(int) - local).mean() < 0.5


def one_error(errors: str) -> str:
    lines = [line for line in errors.splitlines() if line.startswith("trivd: error: ")]
    assert len(lines) == 1, errors
    assert "Traceback" not in errors
    return lines[0]


def test_a_server_that_is_away(clip, tmp_path, capsys) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"grpc://127.0.0.1:{port}"
    words = ["--server", address, str(clip), "--output", str(tmp_path / "o"), "--retries", "1"]
    assert main(["predict", *words]) == 1
    assert f"{address}/trivd: no server answers there" in one_error(capsys.readouterr().err)
    assert not (tmp_path / "o").exists()


def test_a_slow_server(server, clip, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(server.services, "delay", 1.5)
    words = ["--server", f"grpc://127.0.0.1:{server.port}", str(clip), "--timeout", "0.5"]
    assert main(["predict", *words, "--output", str(tmp_path / "o")]) == 1
    assert "no answer within" in one_error(capsys.readouterr().err)


def test_a_server_with_another_model(server, clip, tmp_path, capsys) -> None:
    address = f"grpc://127.0.0.1:{server.port}/other"
    words = ["--server", address, str(clip), "--output", str(tmp_path / "o")]
    assert main(["predict", *words]) == 2
    assert f"{address}: serves no model named 'other'" in one_error(capsys.readouterr().err)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ([], "one of the arguments --model --server is required"),
        (["--model", "m", "--server", "grpc://h:1"], "not allowed with argument"),
        (["--server", "localhost:8500"], "localhost:8500: no address of a server"),
        (["--model", "m", "--timeout", "5"], "--timeout needs --server"),
        (["--model", "m", "--max_message_mb", "5"], "--max_message_mb needs --server"),
        (["--server", "grpc://h:1", "--timeout", "0"], "'0' is not a number of seconds above 0"),
        (["--server", "grpc://h:1", "--max_message_mb", "5000"], "give at most 2047"),
    ],
)
def test_wrong_flags(flags, named, clip, tmp_path, capsys) -> None:
    assert main(["predict", *flags, str(clip), "--output", str(tmp_path / "o")]) == 2
    assert named in capsys.readouterr().err
