"""`trivd demo` as a user starts it: a fresh process that serves an export."""

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
