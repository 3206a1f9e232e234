"""The demo's addresses: right answers, kind refusals, and nothing that stays."""

import http.client
import io
import json
import os
import re
import socket
import tempfile
import time

import numpy as np
import pytest
from PIL import Image

from tests.demo.conftest import GIVEN, HORIZON, LIMITS, SIDE, frames_of, video
from trivd_tf.base.errors import InputError
from trivd_tf.cli.main import main
from trivd_tf.demo import decoding
from trivd_tf.demo.app import listen
from trivd_tf.demo.examples import examples


def predict(demo, body: bytes = b"", **query) -> dict:
    words = "&".join(f"{key}={value}" for key, value in query.items())
    status, answer = demo.ask(f"api/predict?{words}", body)
    assert status == 200, answer
    return json.loads(answer)


def test_the_pages_files_name_no_other_host(demo) -> None:
    for path in ("", "style.css", "page.js", "icon.svg"):
        status, content = demo.ask(path)
        assert status == 200
        found = re.findall(rb"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", content)
        assert [address for address in found if b"www.w3.org/2000/svg" not in address] == []
    connection = http.client.HTTPConnection(demo.url.split("/")[2])
    connection.request("GET", "/")
    headers = connection.getresponse().headers
    connection.close()
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"


def test_the_model_is_described(demo) -> None:
    described = json.loads(demo.ask("api/model")[1])
    assert (described["given"], described["horizon"]) == (GIVEN, HORIZON)
    assert (described["height"], described["width"]) == (SIDE, SIDE)
    assert len(described["examples"]) == 4
    for example in described["examples"]:
        _, picture = demo.ask(f"api/examples/{example['key']}.png")
        assert Image.open(io.BytesIO(picture)).size == (128, 128)


def test_what_is_no_video_is_called_so(demo) -> None:
    """And not the reader's death: libav prints something about it, here into a file of pytest."""
    for content in (b"not a video", b"x" * 5000, bytes(1000)):
        status, text = demo.refusal("api/predict", content)
        assert status == 400
        assert "your clip: not a video" in text


def test_an_example_is_continued(demo) -> None:
    options = {"num_samples": 2, "num_frames": 5, "seed": 3}
    answer = predict(demo, example="drift", **options)
    clip = demo.service.example("drift").clip
    expected, _ = demo.service.predictor.samples(clip.conditioning[None], **options)
    np.testing.assert_array_equal(frames_of(answer["given"]), clip.conditioning)
    np.testing.assert_array_equal(frames_of(answer["real"]), clip.continuation[:5])
    for strip, future in zip(answer["futures"], expected[0], strict=True):
        np.testing.assert_array_equal(frames_of(strip), future)
    assert len(answer["motion"]["over"]) == 2
    assert answer["num_real"] == answer["num_frames"] == 5


def test_an_upload_is_continued_and_kept_nowhere(demo, upload, tmp_path, monkeypatch) -> None:
    decoding.warm_up()  # which makes a folder for itself
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    answer = predict(demo, upload, num_samples=1, truncation=0)
    given = frames_of(answer["given"]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(given, [20, 40, 60, 80], atol=4)
    np.testing.assert_allclose(
        frames_of(answer["real"]).mean(axis=(1, 2, 3)), [100, 120, 140], atol=4
    )
    answer = predict(demo, upload, window="last")
    assert answer["real"] is None
    last = frames_of(answer["given"]).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(last, [100, 120, 140, 160], atol=4)
    for kind, magic in (("gif", b"GIF89a"), ("mp4", b"ftyp")):
        status, content = demo.ask(f"api/download/{kind}?num_samples=2", upload)
        assert status == 200
        assert magic in content[:16]
    assert Image.open(io.BytesIO(demo.ask("api/download/gif", upload)[1])).n_frames == 4 + HORIZON
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("seed=-1", "the seed must be a whole number from 0"),
        ("seed=1e9", "the seed"),
        ("seed=" + "9" * 5000, "the seed"),
        ("seed=%D9%A3x", "the seed"),
        ("num_samples=0", "the number of futures must be a whole number from 1 to 6"),
        ("num_samples=7", "the number of futures"),
        ("num_frames=10", "the length must be a whole number from 1 to 9"),
        ("num_frames=3.5", "the length"),
        ("truncation=-0.1", "the truncation must be a number from 0 on"),
        ("truncation=nan", "the truncation"),
        ("truncation=x", "the truncation"),
        ("window=middle", "start from"),
        ("example=..%2F..%2Fetc%2Fpasswd", "there is no example"),
    ],
)
def test_bad_settings_are_named(demo, query, named) -> None:
    query = query if "example" in query else query + "&example=drift"
    status, text = demo.refusal(f"api/predict?{query}")
    assert status == 400
    assert named in text
    assert "\n" not in text


def test_bad_uploads_are_refused_by_name(demo, tmp_path) -> None:
    short = video(tmp_path / "short.mp4", count=2)
    for content, named in [(b"", "is empty"), (b"hello", "your clip"), (short, "holds 2 frames")]:
        status, text = demo.refusal("api/predict", content)
        assert status == 400
        assert named in text
        assert tempfile.gettempdir() not in text


def test_uploads_are_limited(demo) -> None:
    status, text = demo.refusal("api/predict", bytes(LIMITS.upload_bytes + 1))
    assert status == 413
    assert "too large" in text
    # Without a stated length, the bytes are counted as they come.
    connection = http.client.HTTPConnection(demo.url.split("/")[2])
    try:
        connection.request(
            "POST",
            "/api/predict",
            iter([bytes(100_000)] * 5),
            {"X-Trivd": "1"},
            encode_chunked=True,
        )
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # hung up on, which is a refusal too
    finally:
        connection.close()


def test_an_upload_that_trickles_is_given_up(demo) -> None:
    host, port = demo.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as link:
        head = (
            f"POST /api/predict HTTP/1.1\r\nHost: {host}\r\nX-Trivd: 1\r\nContent-Length: 900\r\n"
        )
        link.sendall(head.encode() + b"\r\nabc")
        begun = time.monotonic()
        link.settimeout(30)
        assert b" 408 " in link.recv(4096)
        assert time.monotonic() - begun < LIMITS.upload_seconds + 10


def test_other_sites_cannot_ask(demo) -> None:
    address = demo.url + "api/predict?example=drift"
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="403") as caught:
        urllib.request.urlopen(urllib.request.Request(address, b""))
    caught.value.close()
    assert demo.ask("", Host="evil.example")[0] == 400
    assert demo.ask("api/predict?example=drift")[0] == 405


def test_too_many_at_once_are_told_to_come_back(demo, monkeypatch) -> None:
    monkeypatch.setattr("trivd_tf.demo.app._WAITING", 0)
    status, text = demo.refusal("api/predict?example=drift")
    assert status == 503
    assert "try again" in text


def test_a_reader_that_hangs_or_dies_is_a_refusal(tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    video(path)
    wanted = {"num_conditioning_frames": 4, "size": 16, "max_frames": 100}
    with pytest.raises(InputError, match=r"your clip: could not be read within 0\.0001 seconds"):
        decoding.read_untrusted(str(path), name="your clip", seconds=0.0001, **wanted)
    os.mkfifo(tmp_path / "pipe")  # opening it waits for ever
    with pytest.raises(InputError, match="your clip"):
        decoding.read_untrusted(str(tmp_path / "pipe"), name="your clip", seconds=0.5, **wanted)
    assert decoding.read_untrusted(str(path), name="your clip", seconds=30, **wanted)


def test_examples_from_a_folder(demo, made_videos, tmp_path) -> None:
    found = examples(demo.service.predictor, made_videos, 5)
    assert [example.title for example in found] == ["clip0", "clip1", "clip2"]
    assert found[0].clip.continuation.shape == (5, SIDE, SIDE, 3)
    (tmp_path / "a.mp4").write_text("not a video")
    with pytest.raises(InputError, match=r"no video that this model can continue \(.*a\.mp4"):
        examples(demo.service.predictor, tmp_path, 5)
    with pytest.raises(InputError, match="no such folder"):
        examples(demo.service.predictor, tmp_path / "none", 5)


def test_a_taken_port_is_named(tmp_path, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1:{port}: cannot be listened on"):
            listen("127.0.0.1", port)
    assert main(["demo", "--model", str(tmp_path), "--port", "70000"]) == 2
    assert "--port 70000" in capsys.readouterr().err
    assert main(["demo", "--model", str(tmp_path / "none"), "--port", "0"]) == 2
    assert "none: no such directory" in capsys.readouterr().err
