"""The serving configuration: what can be parsed is, and every file names the same things."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "export" / "serving"

pytest.importorskip("tensorflow_serving")
yaml = pytest.importorskip("yaml")

from google.protobuf import text_format  # noqa: E402


def server_config(text: str):
    from tensorflow_serving.config import model_server_config_pb2

    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def without_comments(name: str) -> list[str]:
    lines = (FOLDER / name).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]["serving"]


@pytest.fixture(scope="module")
def manifest() -> dict[str, dict]:
    documents = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
    return {document["kind"]: document for document in documents}


def test_model_config_names_the_clients_default_model() -> None:
    from trivd_tf.serving.transport import DEFAULT_MODEL_NAME

    (config,) = server_config((FOLDER / "models.config").read_text()).model_config_list.config
    assert config.name == DEFAULT_MODEL_NAME
    assert config.base_path == f"/models/{DEFAULT_MODEL_NAME}"
    assert config.model_version_policy.latest.num_versions == 1


def test_monitoring_is_where_prometheus_is_told_to_look(manifest) -> None:
    text = "".join(without_comments("monitoring.config"))
    assert re.search(r"prometheus_config \{\s*enable: true", text)
    (path,) = re.findall(r'path: "([^"]+)"', text)
    annotations = manifest["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == path
    assert annotations["prometheus.io/port"] == "8501"


def test_batching_takes_what_the_client_sends() -> None:
    from trivd_tf.inference import predictor_base

    text = "\n".join(without_comments("batching.config"))
    fields = dict(re.findall(r"(\w+) \{ value: (\d+) \}", text))
    assert set(fields) == {
        "max_batch_size",
        "batch_timeout_micros",
        "num_batch_threads",
        "max_enqueued_batches",
    }
    sizes = [int(size) for size in re.findall(r"allowed_batch_sizes: (\d+)", text)]
    # The server refuses a configuration whose last size is not the largest batch.
    assert sizes == sorted(sizes)
    assert sizes[-1] == int(fields["max_batch_size"]) == predictor_base._CLIPS_AT_ONCE


def test_manifest_carries_the_same_configuration(manifest) -> None:
    for name, text in manifest["ConfigMap"]["data"].items():
        assert text.splitlines() == without_comments(name)


def test_every_file_that_a_flag_names_is_mounted(compose, manifest) -> None:
    (container,) = manifest["Deployment"]["spec"]["template"]["spec"]["containers"]
    mounted = {volume.split(":")[-2] for volume in compose["volumes"]}
    given = set(manifest["ConfigMap"]["data"])
    for flags in (compose["command"], container["args"]):
        files = {flag.split("=")[1] for flag in flags if "_file=" in flag}
        assert {Path(file).name for file in files} == given
        assert files <= mounted | {f"/config/{name}" for name in given}
    for volume in compose["volumes"]:
        if volume.startswith("./"):
            assert (FOLDER / volume.split(":")[0]).is_file()
    assert f"--port={8500}" in compose["command"]


def test_probes_ask_where_the_server_answers(compose, manifest) -> None:
    (container,) = manifest["Deployment"]["spec"]["template"]["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for flag in (f"--port={ports['grpc']}", f"--rest_api_port={ports['rest']}"):
        assert flag in compose["command"]
        assert flag in container["args"]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] == "/v1/models/trivd/metadata"
    service = {port["name"]: port["port"] for port in manifest["Service"]["spec"]["ports"]}
    assert service == ports
    assert manifest["Service"]["spec"]["selector"] == {"app": "trivd-serving"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="the health check is a line of bash")
def test_health_check_tells_a_loaded_model(compose) -> None:
    from types import SimpleNamespace

    from tests.serving.rest_stand_in import RestStandIn

    server = RestStandIn(SimpleNamespace(signatures={}))
    try:
        *start, line = compose["healthcheck"]["test"]
        assert start == ["CMD", "bash", "-c"]
        line = line.replace("8501", str(server.port))
        assert subprocess.run(["bash", "-c", line], check=False).returncode == 0
        server.name = "other"  # answers 404 now
        assert subprocess.run(["bash", "-c", line], check=False).returncode != 0
    finally:
        server.close()
    gone = subprocess.run(["bash", "-c", line], check=False, stderr=subprocess.DEVNULL)
    assert gone.returncode != 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands use curl")
def test_the_readmes_requests_are_answered(served_model, exported) -> None:
    import json

    import numpy as np

    from tests.serving.rest_stand_in import RestStandIn

    text = (FOLDER / "README.md").read_text()
    (state,) = re.findall(r"^curl (http://localhost:8501/v1/models/trivd) ", text, re.M)
    (request,) = re.findall(r'^python -c ".*\n  \| curl .*$', text, re.M)
    # The tests' model is smaller; python is this one; all of the answer is looked at.
    request = request.replace("[1, 5, 64, 64, 3]", "[1, 2, 16, 16, 3]").split("| head")[0]
    request = request.replace("python", sys.executable, 1)
    server = RestStandIn(served_model)

    def answer(line: str) -> dict:
        line = line.replace("localhost:8501", f"127.0.0.1:{server.port}")
        done = subprocess.run(["bash", "-c", line], check=True, capture_output=True)
        return json.loads(done.stdout)

    try:
        (version,) = answer(f"curl --silent {state}")["model_version_status"]
        assert version["state"] == "AVAILABLE"
        (prediction,) = answer(request)["predictions"]
    finally:
        server.close()
    expected = exported.predict(np.full((1, 2, 16, 16, 3), 127, np.uint8), truncation=0)
    np.testing.assert_allclose(prediction["frames"], expected[0], atol=1)
