"""Announced maintenance stops a run; a machine without a metadata server is left alone."""

import http.server
import threading
import time

import pytest

from trivd_tf.cli.maintenance import watching_maintenance
from trivd_tf.cli.signals import StopSignal


@pytest.fixture
def metadata(monkeypatch):
    """A metadata server whose answers the test sets."""
    answers = {"preempted": "FALSE", "maintenance-event": "NONE"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["Metadata-Flavor"] == "Google"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answers[self.path.rpartition("/")[2]].encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
    yield answers
    server.shutdown()
    server.server_close()
    thread.join()


def _is_set_within(stop: StopSignal, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not stop.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    return stop.is_set()


@pytest.mark.parametrize(
    ("name", "answer"),
    [("preempted", "TRUE"), ("maintenance-event", "TERMINATE_ON_HOST_MAINTENANCE")],
)
def test_an_announcement_stops_the_run(metadata, capsys, name, answer):
    with StopSignal() as stop, watching_maintenance(stop, wanted=True, every=0.02):
        assert not _is_set_within(stop, 0.2)
        metadata[name] = answer
        assert _is_set_within(stop, 20)
    assert stop.exit_status == 143
    assert f"announces {name} {answer}" in capsys.readouterr().err


def test_without_a_metadata_server_nothing_happens(monkeypatch):
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:9")
    with StopSignal() as stop, watching_maintenance(stop, wanted=True, every=0.02):
        assert not _is_set_within(stop, 0.2)


def test_it_asks_nobody_unless_it_is_wanted(metadata):
    metadata["preempted"] = "TRUE"
    with StopSignal() as stop, watching_maintenance(stop, wanted=False, every=0.02):
        assert not _is_set_within(stop, 0.2)
