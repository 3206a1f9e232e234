"""The launch examples: syntax, and only flags that `trivd` has."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from trivd_tf.cli.main import build_parser

LAUNCH = Path(__file__).resolve().parent.parent / "tools" / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))


def _job() -> dict:
    _, job = yaml.safe_load_all((LAUNCH / "kubernetes.yaml").read_text())
    return job


def _text(path: Path) -> str:
    if path.suffix != ".yaml":
        return path.read_text()
    return _job()["spec"]["template"]["spec"]["containers"][0]["args"][0]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_accepts_it(path):
    subprocess.run(["bash", "-n", path], check=True)
    assert os.access(path, os.X_OK)


@pytest.mark.parametrize("path", sorted(LAUNCH.iterdir()), ids=lambda path: path.name)
def test_trivd_has_the_flags(path):
    text = re.sub(r"\\\n", " ", _text(path))
    calls = re.findall(r"trivd (train .*)$", text, re.M)
    calls = [call for call in calls if "--strategy" in call]
    assert len(calls) == 1
    args = build_parser().parse_args(shlex.split(calls[0].replace("'", "")))
    assert args.strategy in ("tpu", "multi_worker")


def test_every_pod_of_the_job_is_a_worker():
    job = _job()["spec"]
    container = job["template"]["spec"]["containers"][0]
    workers = {item["name"]: item["value"] for item in container["env"]}["WORKERS"]
    assert job["completions"] == job["parallelism"] == int(workers)


@pytest.mark.parametrize("path", [LAUNCH / "slurm.sh", LAUNCH / "kubernetes.yaml"], ids=str)
def test_the_workers_find_each_other(path):
    """Runs the lines that make TF_CONFIG."""
    text = _text(path)
    if path.suffix == ".sh":
        inner = re.search(r"bash -c '(.*?)exec trivd", text, re.S).group(1)
        hosts = re.search(r"^WORKERS=.*$", text, re.M).group(0)
        script = f"hosts='one two'; PORT=2222; {hosts}\n{inner}"
    else:
        script = text.partition("exec trivd")[0]
    environment = {"PATH": os.environ["PATH"], "WORKERS": "2"}
    environment |= {"SLURM_PROCID": "1", "JOB_COMPLETION_INDEX": "1"}
    script += '\nprintf %s "$TF_CONFIG"'
    done = subprocess.run(
        ["bash", "-ec", script], env=environment, check=True, capture_output=True, text=True
    )
    config = json.loads(done.stdout)
    assert len(config["cluster"]["worker"]) == 2
    assert all(address.endswith(":2222") for address in config["cluster"]["worker"])
    assert config["task"] == {"type": "worker", "index": 1}
