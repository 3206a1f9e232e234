"""The command line itself: help, exit statuses, one line for every failure."""

import re
import shlex
import subprocess
import sys
import types

import pytest

from trivd_tf._version import __version__
from trivd_tf.base.errors import InputError, RunError
from trivd_tf.cli import main as cli


@pytest.fixture
def failing(monkeypatch):
    """Replaces `trivd export` by a command that raises what the test gives."""

    def install(error: BaseException) -> list[str]:
        def run(args):
            raise error

        real = cli.command_module
        broken = types.SimpleNamespace(
            __doc__=real("export").__doc__, add_flags=real("export").add_flags, run=run
        )
        monkeypatch.setattr(
            cli, "command_module", lambda name: broken if name == "export" else real(name)
        )
        return ["export", "--model_dir", "m", "--export_dir", "e"]

    return install


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("clip.mp4: no video"), 2, "trivd: error: clip.mp4: no video"),
        (RunError("disk is\n  full"), 1, "trivd: error: disk is full"),
        (OSError(28, "No space left", "x"), 1, "trivd: error: [Errno 28] No space left: 'x'"),
        (KeyboardInterrupt(), 130, "trivd: interrupted"),
        (cli.Terminated(), 143, "trivd: terminated"),
        (
            ZeroDivisionError("oops\nmore"),
            1,
            "trivd: error: ZeroDivisionError: oops more (run again with --debug for the traceback)",
        ),
    ],
)
def test_a_failure_is_one_line_and_a_status(failing, capsys, error, status, line):
    assert cli.main(failing(error)) == status
    captured = capsys.readouterr()
    assert captured.err == line + "\n"
    assert captured.out == ""


@pytest.mark.parametrize("error", [InputError("bad"), ZeroDivisionError("oops")])
def test_debug_adds_the_traceback(failing, capsys, error):
    cli.main([*failing(error), "--debug"])
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert shown.splitlines()[-1].startswith("trivd: error: ")
    assert "run again" not in shown


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["trian"], "did you mean `trivd train`?"),
        (["train", "--model-dir", "x"], "instead of --model-dir, did you mean --model_dir?"),
        (["train", "--modle_dir=x"], "instead of --modle_dir, did you mean --model_dir?"),
        (["train", "--model_dir", "x", "--Seed", "1"], "did you mean --seed?"),
        (["prepare", "foldr", "--output", "x"], "invalid choice: 'foldr'"),
        (["train"], "required: --model_dir"),
        (["train", "--model_dir", "x", "--gin_flie", "y"], "--gin_flie"),
        (["train", "--model", "x"], "required: --model_dir"),
        (["train", "--model_dir", "x", "--seed", "-1"], "--seed: '-1' is not a whole number"),
        (["train", "--model_dir", "x", "--seed", "a"], "--seed: 'a' is not a whole number"),
        (["predict", "--model", "x", "--output", "y"], "required: CLIP"),
        (["predict", "--model", "x", "c", "--output", "y", "--num_samples", "0"], "--num_samples"),
        (["predict", "--model", "x", "c", "--output", "y", "--truncation", "-1"], "--truncation"),
        (["predict", "--model", "x", "c", "--output", "y", "--truncation", "nan"], "--truncation"),
        (["predict", "--model", "x", "c", "--output", "y", "--window", "mid"], "--window"),
    ],
)
def test_wrong_usage_is_one_line_with_status_2(capsys, arguments, expected):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("trivd: error: ")
    assert expected in captured.err
    assert "--help` shows" in captured.err


def test_bare_it_prints_the_overview(capsys):
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"  {name} " not in text] == []


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_shows_an_example_that_the_parser_takes(capsys, command):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    examples = text.split("example:\n")[1].split("\n\n")[0].replace("\\\n", " ")
    lines = [line.strip() for line in examples.splitlines() if line.strip()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "trivd"
        assert cli.parse(arguments).command == command


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if not re.search(rf"^    {name} ", text, re.M)] == []


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"trivd_tf {__version__}\n"


def test_help_and_usage_errors_import_nothing_heavy():
    code = (
        "import sys; from trivd_tf.cli.main import main; status = main(['train', '--sede', '1']);"
        "heavy = {'tensorflow', 'keras', 'gin', 'numpy', 'av', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], []])
def test_a_reader_that_has_read_enough_is_no_error(arguments):
    """As in `trivd report runs | head -1`: silent, with the status of SIGPIPE."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trivd_tf", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) in (0, 141)
    assert errors == ""


def test_a_command_whose_stdout_is_closed_ends_silently(failing, capsys):
    assert cli.main(failing(BrokenPipeError(32, "Broken pipe"))) == 141
    assert capsys.readouterr().err == ""


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "trivd_tf", "predict", "--modle", "x"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("trivd: error: ")
    assert done.stderr.count("\n") == 1
