"""Opens Apache Beam pipelines on all cores of this machine, or on a given runner."""

import logging
import os
from collections.abc import Sequence
from typing import Any

from trivd_tf.base.errors import InputError


def import_beam(purpose: str) -> Any:
    """Imports `apache_beam`, without its warnings about unused cloud services.

    Raises:
        InputError: Beam is not installed; the message states that `purpose` needs it.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        import apache_beam
    except ImportError as error:
        raise InputError(
            f"{purpose} needs Apache Beam ({error}); pip install 'trivd-tf[beam]'"
        ) from error
    finally:
        logging.disable(before)
    return apache_beam


def open_pipeline(flags: Sequence[str]) -> Any:
    """Creates an empty `beam.Pipeline`.

    Args:
        flags: flags of Beam, such as `--runner=DataflowRunner`. Without a runner, one thread per
            core is used: codecs and TensorFlow release Python's global interpreter lock.

    Raises:
        InputError: Beam has no such runner.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    try:
        return beam.Pipeline(options=PipelineOptions(_with_defaults(flags)))
    except (ValueError, ImportError, AttributeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"--runner: {reason}") from error


def _with_defaults(flags: Sequence[str]) -> list[str]:
    """Adds default flags; names the plain local runner, because Beam would download a newer one."""
    stated = {flag.split("=")[0] for flag in flags}
    if "--runner" in stated:
        return list(flags)
    # Errors are reported once, in one line, not as tracebacks of each layer.
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    local = {
        "--runner": "FnApiRunner",
        "--direct_running_mode": "multi_threading",
        "--direct_num_workers": len(os.sched_getaffinity(0)),
    }
    return [*flags, *(f"{name}={value}" for name, value in local.items() if name not in stated)]
