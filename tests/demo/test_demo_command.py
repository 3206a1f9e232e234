"""`trivd demo`: what the command prints and serves; (long) in a fresh process with an export."""

import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the demo needs starlette")
pytest.importorskip("uvicorn", reason="the demo needs uvicorn")


def test_the_command_serves_what_it_loads(exported, monkeypatch, capsys) -> None:
    import threading
    import time

    import uvicorn

    from trivd_tf import inference
    from trivd_tf.cli.main import main
    from trivd_tf.demo import app

    asked = []

    def serve(application, bound) -> None:
        """One request, to the address that was printed before."""
        # uvicorn's own logging configuration closes the handlers that exist, and with absl's the
        # stream that pytest captures.
        server = uvicorn.Server(uvicorn.Config(application, log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        asked.append((address := capsys.readouterr().out.strip(), describe(address)))
        server.should_exit = True
        thread.join()

    monkeypatch.setattr(inference, "load_predictor", lambda path, **options: exported)
    monkeypatch.setattr(app, "serve", serve)
    assert main(["demo", "--model", "runs/mine/1", "--port", "0"]) == 0
    ((address, described),) = asked
    assert re.fullmatch(r"http://localhost:\d+/", address)
    assert described["title"] == "mine"
    assert (described["height"], described["width"]) == exported.frame_shape


def describe(address: str) -> dict:
    connection = http.client.HTTPConnection(address.split("/")[2])
    connection.request("GET", "/api/model")
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


@pytest.mark.long
def test_the_command_serves_an_export(export_dir: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trivd_tf", "demo", "--model", str(export_dir), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://localhost:\d+/", address), process.stderr.read()
        host = address.split("/")[2]
        connection = http.client.HTTPConnection(host)
        connection.request("POST", "/api/predict?example=drift&seed=1", b"", {"X-Trivd": "1"})
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert len(answer["futures"]) == 1
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode in (143, -signal.SIGTERM)
    assert "Traceback" not in errors
