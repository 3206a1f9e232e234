"""Runs a preparation: makes the plan, writes shards with Apache Beam, and finishes the dataset."""

import contextlib
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.base.frame_size import FrameSize
from trivd_tf.base.lock import FILE_NAME, directory_lock
from trivd_tf.base.progress import Progress
from trivd_tf.data.beam_pipeline import import_beam, open_pipeline
from trivd_tf.data.prepare import layout, shards
from trivd_tf.data.prepare.finish import finish
from trivd_tf.data.prepare.plan import Item, Job, Plan, Shard, Skipped

_SECONDS_BETWEEN_LOOKS = 1.0


def run(
    make_plan: Any,
    *,
    output: str,
    options: Mapping[str, Any],
    size: FrameSize,
    fps: float | None,
    encoding: str,
    jpeg_quality: int,
    videos_per_shard: int,
    beam_flags: Sequence[str],
) -> tuple[dict[str, Any], bool]:
    """Prepares a dataset, or resumes an interrupted run.

    Args:
      make_plan: called without arguments to make a `Plan` if `output` has none yet.
      output: folder of the dataset.
      options: all options that affect the data; recorded, and compared if `output` exists.
      size, fps, encoding, jpeg_quality: as in `Job`.
      videos_per_shard: maximum number of videos per file.
      beam_flags: options for Apache Beam.

    Returns:
      The report, and whether the dataset was finished before.

    Raises:
      InputError: `output` holds other files, or another process prepares a dataset there.
    """
    finished = _finished_report(output, options)
    if finished is not None:
        return finished, True
    _refuse_other_files(output)
    with directory_lock(output, "trivd prepare"):
        # Check again: a process that held the lock until now may have finished the dataset.
        finished = _finished_report(output, options)
        if finished is not None:
            return finished, True
        plan = _load_or_make_plan(output, make_plan, options)
        job = Job(
            output=output,
            name=plan.name,
            reader=plan.reader,
            reader_options=dict(plan.reader_options),
            root=plan.root,
            size=size,
            fps=fps,
            encoding=encoding,
            jpeg_quality=jpeg_quality,
            labelled=bool(plan.class_names),
        )
        todo = list(plan.shards(videos_per_shard))
        with _watched(output, todo):
            _write_shards(job, todo, beam_flags)
        report = finish(job, plan, todo, options)
        _remove(layout.join(output, layout.WORK))
    return report, False


def _finished_report(output: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the report of a finished dataset, or None. Removes files of an interrupted run."""
    path = layout.join(output, layout.REPORT)
    if not tf.io.gfile.exists(path):
        return None
    report = _read_report(path)
    _check_same(output, report["options"], options)
    _remove(layout.join(output, layout.WORK))
    return report


def _read_report(path: str) -> dict[str, Any]:
    try:
        report = layout.read_json(path)
    except ValueError:
        report = None
    if not isinstance(report, dict) or "options" not in report or "splits" not in report:
        raise InputError(
            f"{path} was not written by `trivd prepare`, which would replace it; name another "
            "--output"
        )
    return report


def _check_same(output: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    differing = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    if differing:
        changes = ", ".join(f"{name} {before.get(name)!r}" for name in differing)
        raise InputError(
            f"{output} holds a set prepared with {changes}; name another --output, or delete it"
        )


def _refuse_other_files(output: str) -> None:
    """Raises InputError if an unfinished dataset would mix with other files."""
    if tf.io.gfile.exists(layout.join(output, layout.WORK, "plan.json")):
        return
    if tf.io.gfile.exists(output) and not tf.io.gfile.isdir(output):
        raise InputError(f"{output} is a file; name a folder as --output")
    names = tf.io.gfile.listdir(output) if tf.io.gfile.isdir(output) else []
    if any(name.rstrip("/") != layout.WORK and not name.startswith(FILE_NAME) for name in names):
        raise InputError(f"{output} is not empty and holds no prepared set; name another --output")


def _load_or_make_plan(output: str, make_plan: Any, options: Mapping[str, Any]) -> Plan:
    """Returns the plan recorded by the first run, which later runs use even if sources changed."""
    path = layout.join(output, layout.WORK, "plan.json")
    if tf.io.gfile.exists(path):
        content = layout.read_json(path)
        _check_same(output, content["options"], options)
        return _plan_from(content["plan"])
    work = layout.join(output, layout.WORK)
    plan = make_plan()
    if not any(plan.splits.values()):
        reason = f"; the first: {plan.skipped[0].source}: {plan.skipped[0].reason}"
        raise InputError(f"{plan.root}: holds none of the videos{reason if plan.skipped else ''}")
    try:
        tf.io.gfile.makedirs(layout.join(work, "shards"))
        layout.write_json(path, work, {"options": dict(options), "plan": _plan_content(plan)})
    except (OSError, RunError, tf.errors.OpError) as error:
        raise InputError(f"{output} cannot be written to ({_first_line(error)})") from error
    return plan


def _plan_content(plan: Plan) -> dict[str, Any]:
    content = dict(vars(plan))
    content["splits"] = {
        split: [list(vars(item).values()) for item in items] for split, items in plan.splits.items()
    }
    content["skipped"] = [list(vars(entry).values()) for entry in plan.skipped]
    return content


def _plan_from(content: dict[str, Any]) -> Plan:
    splits = {
        split: [
            Item(name, source, label, record, (part[0], part[1]))
            for name, source, label, record, part in items
        ]
        for split, items in content["splits"].items()
    }
    skipped = [Skipped(*fields) for fields in content["skipped"]]
    return Plan(**{**content, "splits": splits, "skipped": skipped})


def _write_shards(job: Job, todo: Sequence[Shard], beam_flags: Sequence[str]) -> None:
    done = set(tf.io.gfile.listdir(layout.join(job.output, layout.WORK, "shards")))
    left = [shard for shard in todo if f"{shard.label}.json" not in done]
    if not left:
        return
    beam = import_beam("preparing data sets")
    description = job.to_json()
    unfilled = open_pipeline(beam_flags)
    try:
        with unfilled as pipeline:
            _ = (
                pipeline
                | "list shards" >> beam.Create([shard.to_json() for shard in left])
                | "spread over workers" >> beam.Reshuffle()
                | "write shards" >> beam.Map(_write_one, description)
            )
    except Exception as error:
        raise RunError(
            f"preparing {job.output} stopped: {_cause(error)}; run the same command to resume"
        ) from error


def _write_one(shard: str, job: str) -> None:
    shards.write_shard_json(job, shard)


@contextlib.contextmanager
def _watched(output: str, todo: Sequence[Shard]) -> Iterator[None]:
    """Shows progress by counting finished shards, on any machine."""
    folder = layout.join(output, layout.WORK, "shards")

    def count() -> int:
        with contextlib.suppress(OSError, tf.errors.OpError):
            names = tf.io.gfile.listdir(folder)
            return len([name for name in names if name.endswith(".json")])
        return shown

    shown = 0
    shown = count()
    stopped = threading.Event()
    with Progress("preparing", total=len(todo), unit="shard", initial=shown) as progress:

        def watch() -> None:
            seen = shown
            while not stopped.wait(_SECONDS_BETWEEN_LOOKS):
                now = max(seen, count())
                progress.update(now - seen)
                seen = now

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stopped.set()
            watcher.join()


def _remove(folder: str) -> None:
    with contextlib.suppress(OSError, tf.errors.OpError):
        if tf.io.gfile.exists(folder):
            tf.io.gfile.rmtree(folder)


def _cause(error: Exception) -> str:
    """Returns a worker's error in one line; Beam wraps it in tracebacks of its workers."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if "[while running" in line]
    line = (own or lines or [type(error).__name__])[-1]
    return re.sub(r"^(RuntimeError: )+|\s*\[while running.*", "", line)[:300]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def options_of(**options: Any) -> dict[str, Any]:
    """Converts options as JSON does (tuples to lists), so that they compare equal later."""
    return json.loads(json.dumps(options))
