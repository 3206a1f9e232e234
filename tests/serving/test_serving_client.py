"""The client against the stand-in server: right answers, and what it says when things go wrong."""

import concurrent.futures
import socket
import threading
import time

import numpy as np
import pytest

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.serving import client as serving_client
from trivd_tf.serving.client import ServerPredictor
from trivd_tf.serving.transport import Address

pytest.importorskip("tensorflow_serving")


@pytest.fixture(scope="module")
def server(served_model):
    from tests.serving.serving_stand_in import StandInServer

    stand_in = StandInServer(served_model, max_message_bytes=200_000)
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def rest_server(server):
    from tests.serving.rest_stand_in import RestStandIn

    stand_in = RestStandIn(server.model)
    yield stand_in
    stand_in.close()


@pytest.fixture(params=["grpc", "http"])
def served(request, server, rest_server):
    """(address, what to disturb) for both kinds of connection."""
    if request.param == "grpc":
        return f"grpc://127.0.0.1:{server.port}", server.services
    return f"http://127.0.0.1:{rest_server.port}", rest_server


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch):
    monkeypatch.setattr(serving_client, "_FIRST_PAUSE", 0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_warm_up_was_replayed(server) -> None:
    assert server.model.warmed_up == 4


def test_server_and_process_agree(served, in_process, clips) -> None:
    options = {"num_samples": 2, "seed": 5, "truncation": 1.0, "num_frames": 3}
    with ServerPredictor(served[0]) as predictor:
        assert predictor.num_conditioning_frames == 2
        assert (predictor.num_predicted_frames, predictor.frame_size) == (2, 16)
        frames, flow = predictor.predict_samples_with_motion(clips, **options)
    expected, expected_flow = in_process.predict_samples_with_motion(clips, **options)
    np.testing.assert_allclose(frames, expected, atol=1)
    np.testing.assert_allclose(flow, expected_flow, atol=1e-4)


def test_sixteen_clients_at_once(server, in_process, clips) -> None:
    """No error and no mixed-up answer: every client has its own clip, seed and expectation."""
    rng = np.random.default_rng(1)
    asked = rng.integers(0, 256, (16, 2, 16, 16, 3), np.uint8)
    expected = [in_process.predict(asked[i : i + 1], seed=i, num_frames=4) for i in range(16)]
    start = threading.Barrier(16)

    def client(index: int) -> list[np.ndarray]:
        with ServerPredictor(f"grpc://127.0.0.1:{server.port}") as predictor:
            start.wait()
            return [
                predictor.predict(asked[index : index + 1], seed=index, num_frames=4)
                for _ in range(4)
            ]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(client, range(16)))
    for index, answer in enumerate(answers):
        for frames in answer:
            np.testing.assert_allclose(frames, expected[index], atol=1)
        others = [np.abs(answer[0].astype(int) - other).max() for other in expected]
        assert sorted(range(16), key=others.__getitem__)[0] == index


def test_retries_while_the_server_is_overloaded(served, clips) -> None:
    address, disturb = served
    with ServerPredictor(address) as predictor:
        disturb.unavailable = 2
        predictor.predict(clips, truncation=0)
        assert disturb.unavailable == 0
        disturb.unavailable = 99
        with pytest.raises(RunError, match=r"no server answers there.*try again"):
            predictor.predict(clips, truncation=0)
        assert disturb.unavailable == 95  # once, and three retries
        disturb.unavailable = 0


def test_a_slow_server_is_said_to_be_slow(served, clips) -> None:
    address, disturb = served
    with ServerPredictor(address) as predictor:
        predictor.timeout = 0.2
        disturb.delay = 1.0
        begun = time.monotonic()
        with pytest.raises(RunError, match=r"no answer within 0\.2 s"):
            predictor.predict(clips, truncation=0)
        assert time.monotonic() - begun < 1.0
        disturb.delay = 0.0


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server(scheme) -> None:
    address = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(RunError, match=rf"{address}/trivd: no server answers there"):
        ServerPredictor(address)


def test_another_models_name(served) -> None:
    with pytest.raises(InputError, match="no model named 'other'"):
        ServerPredictor(f"{served[0]}/other")


def test_another_model(served, server, monkeypatch) -> None:
    only = {"serving_default": server.model.signatures["serving_default"]}
    monkeypatch.setattr(server.model, "signatures", only)
    with pytest.raises(InputError, match="another model"):
        ServerPredictor(served[0])


def test_refusals_of_the_graph_reach_the_user(served, clips) -> None:
    with ServerPredictor(served[0]) as predictor:
        predictor.frame_size, predictor.num_conditioning_frames = 8, 3
        expected = r"request \(assertion failed: \[conditioning_frames must be.*\[3 3 8 8 3\]"
        with pytest.raises(InputError, match=expected):
            predictor.predict(np.zeros((3, 3, 8, 8, 3), np.uint8))


def test_too_large_messages(server, clips) -> None:
    address = f"grpc://127.0.0.1:{server.port}"
    with (
        ServerPredictor(address, max_message_bytes=20_000) as predictor,
        pytest.raises(RunError, match="message"),
    ):
        predictor.predict_samples(clips, num_samples=5)


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>hello</html>", "is not TensorFlow Serving"),
        (b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00", "is it the gRPC port"),
    ],
)
def test_no_tensorflow_serving_behind_the_port(sent, named) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(sent)
        connection.close()

    thread = threading.Thread(target=answer)
    thread.start()
    port = listener.getsockname()[1]
    with pytest.raises(InputError, match=named):
        ServerPredictor(f"http://127.0.0.1:{port}")
    thread.join()
    listener.close()


@pytest.mark.parametrize(
    "text",
    [
        "localhost:8500",
        "grpc://localhost",
        "ftp://a:1",
        "grpc://:8500",
        "http://a:99999",
        "http://a:1/b/c",
    ],
)
def test_bad_addresses_are_named(text) -> None:
    with pytest.raises(InputError, match=text):
        Address.parse(text)


def test_addresses() -> None:
    assert str(Address.parse("grpc://h:1")) == "grpc://h:1/trivd"
    assert Address.parse("http://[::1]:8501/mine") == Address("http", "::1", 8501, "mine")
    assert Address.parse("http://[::1]:8501").authority == "[::1]:8501"
