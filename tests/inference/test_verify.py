"""export/verify.py: sees what differs, and (long) finds that nothing does."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "export" / "verify.py"


@pytest.fixture(scope="module")
def verify():
    spec = importlib.util.spec_from_file_location("verify_export", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result() -> dict[str, np.ndarray]:
    frames = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 1, 4, 4, 3)
    return {
        "frames_float": frames,
        "frames": np.round((frames + 1) * 127.5).astype(np.uint8),
        "z_is_0": -frames,
        "called": -frames,
    }


def test_equal_results_have_no_gap(verify) -> None:
    assert set(verify.compare(result(), result()).values()) == {0.0}


@pytest.mark.parametrize(
    ("key", "gap"), [("frames_float", "from z"), ("z_is_0", "z = 0"), ("called", "called")]
)
def test_differences_are_seen(verify, key, gap) -> None:
    other = result()
    other[key] = other[key] + np.float32(2e-5)
    assert verify.compare(other, result())[gap] > verify.TOLERANCE


def test_wrong_rounding_is_seen(verify) -> None:
    other = result()
    other["frames"] = np.floor((other["frames_float"] + 1) * 127.5).astype(np.uint8)
    assert verify.compare(other, result())["rounding"] == 1


def test_the_processes_cannot_import_this_package(verify, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", conditioning_frames=np.zeros(1), z=np.zeros(1))
    code = verify._PROLOGUE + "import trivd_tf\n"
    with pytest.raises(RuntimeError, match="trivd_tf"):
        verify.run_way(code, [str(tmp_path)], tmp_path)


def test_what_is_no_export(verify, tmp_path: Path, capsys) -> None:
    assert verify.main([str(tmp_path)]) == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_one_way_that_fails_is_reported(verify, tmp_path: Path, monkeypatch, capsys) -> None:
    def run_way(code, arguments, folder):
        if "hub.load" in code:
            raise RuntimeError("no hub here")
        return result()

    monkeypatch.setattr(verify, "run_way", run_way)
    monkeypatch.setattr(verify, "make_inputs", lambda *_: None)
    assert not verify.verify(tmp_path, None)
    assert "failed: no hub here" in capsys.readouterr().out


@pytest.mark.long
def test_an_export_loads_alike_everywhere(verify, export_dir: Path, capsys) -> None:
    pytest.importorskip("tensorflow_hub")
    assert verify.main([str(export_dir)]) == 0
    assert capsys.readouterr().out.count("  ok") == len(verify.WAYS)
