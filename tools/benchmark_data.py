"""Measures how fast this machine generates, prepares and reads clips.

    python tools/benchmark_data.py                      # bouncing digits, and generated videos
    python tools/benchmark_data.py --data_dir VIDEOS    # a folder of your own videos

Prints, for clips of 16 x size x size: bouncing digits, a folder through its cache, prepared
records stored raw and as JPEG with their disk use, preparing (videos and frames per second) beside
plain PyAV decoding and resizing of the same files on one core, and I3D features of the prepared
clips. Each line ends with the process's peak memory in the first and second half of that
measurement; if the memory does not grow with the length of a run, both are the same. Preparing
needs apache-beam, I3D its weights.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import av
import numpy as np

from trivd_tf.base.errors import InputError
from trivd_tf.data import BouncingDigits, ClipSource, ClipSpec, Prepared, VideoFolder, decode_frames
from trivd_tf.data.prepare import prepare
from trivd_tf.metrics import I3D, FeatureExtractor


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return its exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", help="folder of videos; generated if omitted")
    parser.add_argument("--size", type=int, default=64, help="side of the clips (default 64)")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument(
        "--copies",
        type=int,
        default=8,
        help="times that each video is prepared, for few videos are done before the workers and "
        "libraries are (default 8)",
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="for each reading measurement")
    options = parser.parse_args(arguments)
    clip = ClipSpec(size=options.size)
    print(
        f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; clips of "
        f"{clip.num_frames} x {clip.height} x {clip.width}, batches of {options.batch_size}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        videos = options.data_dir or make_videos(Path(scratch) / "videos")
        measure_reading("bouncing digits", BouncingDigits(), clip, options)
        frames, plain = measure_decoding(videos, clip.size)
        folder = VideoFolder(data_dir=videos, cache_dir=str(Path(scratch) / "cache"))
        with Memory() as memory:
            began = time.perf_counter()
            folder.prepare(clip)
            rate = frames / (time.perf_counter() - began)
        print(f"folder, first time: {rate:,.0f} frames/s ({rate / plain:.2f} x one core); {memory}")
        measure_reading("folder, cached", folder, clip, options)
        repeated = link_copies(videos, Path(scratch) / "copies", options.copies)
        for encoding in ("raw", "jpeg"):
            output = str(Path(scratch) / encoding)
            try:
                measure_preparing(repeated, output, encoding, clip.size, plain)
            except InputError as error:
                print(f"preparing: not measured ({error})")
                return 0
            measure_reading(f"prepared, {encoding}", Prepared(data_dir=output), clip, options)
        measure_i3d(Prepared(data_dir=output), clip, options)
    return 0


class Memory:
    """Peak memory of this process in the first and second half of a block."""

    def __enter__(self) -> "Memory":
        self._samples: list[int] = []
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        self._watcher.join()

    def _watch(self) -> None:
        while True:
            self._samples.append(resident_bytes())
            if self._stopped.wait(0.05):
                return

    def __str__(self) -> str:
        half = (len(self._samples) + 1) // 2
        first, second = max(self._samples[:half]), max(self._samples[-half:])
        return f"memory {first / 1e6:,.0f}, then {second / 1e6:,.0f} MB"


def resident_bytes() -> int:
    """Return the current resident memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure_reading(
    name: str, source: ClipSource, clip: ClipSpec, options: argparse.Namespace
) -> None:
    """Print the clips per second that a training step could draw."""
    batches = iter(source.training_clips(clip, seed=0, batch_size=options.batch_size))
    for _ in range(4):  # start threads, fill the prefetch buffer
        next(batches)
    with Memory() as memory:
        began, cpu, count = time.perf_counter(), time.process_time(), 0
        while time.perf_counter() - began < options.seconds:
            next(batches)
            count += options.batch_size
        elapsed, used = time.perf_counter() - began, time.process_time() - cpu
    print(
        f"{name}: {count / elapsed:,.0f} clips/s, {count / used:,.0f} per second of one core; "
        f"{memory}"
    )


def measure_decoding(videos: str, size: int) -> tuple[int, float]:
    """Decode with plain PyAV on one core; return the number of frames, and frames per second."""
    began, frames, count = time.perf_counter(), 0, 0
    for path in files_below(videos):
        try:
            frames += sum(1 for _ in decode_frames(path, size=size))
        except InputError:
            continue
        count += 1
    elapsed = time.perf_counter() - began
    print(
        f"plain PyAV, decode and resize on one core: {count / elapsed:.1f} videos/s, "
        f"{frames / elapsed:,.0f} frames/s ({count} videos, {frames} frames)"
    )
    return frames, frames / elapsed


def measure_preparing(videos: str, output: str, encoding: str, size: int, plain: float) -> None:
    """Prepare the folder once; print the speed beside plain decoding, and the disk use."""
    with Memory() as memory:
        began = time.perf_counter()
        report = prepare("folder", videos=videos, output=output, size=size, encoding=encoding)
        elapsed = time.perf_counter() - began
    splits = report.content["splits"].values()
    stored = sum(split["bytes"] for split in splits)
    frames = sum(split["frames"] for split in splits)
    print(
        f"preparing, {encoding}: {report.content['written'] / elapsed:,.1f} videos/s, "
        f"{frames / elapsed:,.0f} frames/s ({frames / elapsed / plain:.2f} x one core) in "
        f"{elapsed:.1f} s; {stored / 1e6:,.1f} MB, {stored / frames / 1e3:.2f} kB a frame; {memory}"
    )


def measure_i3d(source: ClipSource, clip: ClipSpec, options: argparse.Namespace) -> None:
    """Print the clips per second from prepared records to logits, as in an evaluation."""
    try:
        extractor = FeatureExtractor(I3D.from_pretrained(), batch_size=16)
    except InputError as error:
        print(f"I3D features: not measured ({error})")
        return
    stream = extractor.stream(source.training_clips(clip, seed=0, batch_size=16))
    next(stream), next(stream)  # trace, warm up
    with Memory() as memory:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 2 * options.seconds:
            count += len(next(stream))
        elapsed = time.perf_counter() - began
    print(f"I3D features of prepared clips: {count / elapsed:.1f} clips/s; {memory}")


def files_below(folder: str) -> Iterator[Path]:
    """Iterate over every file in the folder and its subfolders."""
    return (path for path in sorted(Path(folder).rglob("*")) if path.is_file())


def link_copies(videos: str, folder: Path, copies: int) -> str:
    """Create a folder with `copies` links to every file of `videos`."""
    for number in range(copies):
        for path in files_below(videos):
            link = folder / str(number) / path.relative_to(videos)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return str(folder)


def make_videos(folder: Path, count: int = 24, frames: int = 150) -> str:
    """Create videos of drifting noise, 340 x 256 pixels, a common size for Kinetics."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        scene = rng.integers(0, 256, (40, 53, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        with av.open(str(folder / f"{number:02d}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 340, 256, "yuv420p"
            for t in range(frames):
                window = np.ascontiguousarray(scene[t : t + 256, 2 * t : 2 * t + 340])
                frame = av.VideoFrame.from_ndarray(window, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, 25)
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
    return str(folder)


if __name__ == "__main__":
    sys.exit(main())
