"""Builds the wheel and the source distribution, and checks both after installation.

    python tools/build_dist.py [--output dist]

Each is checked by `twine check --strict`, installed with its requirements into an empty virtual
environment, and checked for the gin files and models that it contains. Takes minutes, because
TensorFlow is installed.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("build>=1.2,<2", "twine>=6,<7")
PROBE = """
from trivd_tf.base.shipped import shipped_models
from trivd_tf.config.files import find_gin_file, known_gin_files
import trivd_tf
names = {path.stem for path in known_gin_files()}
assert {"quickstart", "table3_trivd_gan_fp", "folder"} <= names, names
assert "site-packages" in str(find_gin_file("quickstart")), find_gin_file("quickstart")
models = shipped_models()
assert {"small", "walks"} <= set(models), models
print(f"trivd_tf {trivd_tf.__version__}: {len(names)} gin files, models {', '.join(models)}")
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command; exit with its status if it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd)
    if done.returncode:
        sys.exit(done.returncode)


def environment(folder: Path) -> Path:
    """Create a virtual environment and return its Python."""
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def install(python: Path, *what: str | Path, cwd: Path) -> None:
    """Run `pip install`."""
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    run(python, *pip, *what, cwd=cwd)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default="dist", help="folder for both files (default dist)")
    output = (ROOT / parser.parse_args().output).resolve()
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary)
        tools = environment(empty / "tools")
        install(tools, *TOOLS, cwd=empty)
        fresh = empty / "dist"
        run(tools, "-m", "build", "--outdir", fresh, ROOT, cwd=empty)
        built = sorted(fresh.iterdir())
        run(tools, "-m", "twine", "check", "--strict", *built, cwd=empty)
        for file in built:
            python = environment(empty / f"of_{file.suffix[1:]}")
            install(python, file, cwd=empty)
            run(python, "-c", PROBE, cwd=empty)
            run(python.with_name("trivd"), "--version", cwd=empty)
        output.mkdir(parents=True, exist_ok=True)
        for file in built:
            file.replace(output / file.name)
            print(output / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
