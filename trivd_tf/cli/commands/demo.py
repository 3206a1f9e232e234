"""Try a model in the browser.

Serves a page on this machine: drop a clip or pick an example, choose the seed, the length and the
number of futures, and compare them with the real continuation and the motion field. The page makes
no request to other hosts and stores no uploads. Press Ctrl-C to stop the server.

example:
  trivd demo
  trivd demo --model runs/mine
  trivd demo --model exported/mine --port 8080 --examples ~/videos
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from trivd_tf.base import model_files, shipped
from trivd_tf.base.errors import InputError
from trivd_tf.cli.flags import add_standing_flags, natural_number, positive_number

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
# TrustedHostMiddleware cuts [::1]:7860 at its first colon; no site has the resulting name.
_CALLED = (*_LOOPBACK, "[::1]", "[")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `trivd demo`."""
    parser.add_argument(
        "--model",
        metavar="DIR",
        default="small",
        help="a model directory of `trivd train`, a SavedModel of `trivd export`, its address, or "
        "the name of a model that comes with the package (default: small)",
    )
    add_standing_flags(parser)
    parser.add_argument(
        "--port",
        metavar="N",
        type=natural_number,
        default=7860,
        help="port to listen on; 0 selects a free one (default: 7860)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines in, without password or "
        "encryption (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument(
        "--examples",
        metavar="DIR",
        help="a folder of videos to offer as examples (default: generated clips)",
    )
    parser.add_argument(
        "--max_upload_mb",
        metavar="N",
        type=positive_number,
        default=50,
        help="largest upload (default: 50)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until stopped."""
    from trivd_tf.cli.tensorflow_log import held_back_stderr, import_tensorflow

    if args.port > 65535:
        raise InputError(f"--port {args.port} is none; give a number up to 65535")
    import_tensorflow(debug=args.debug)
    try:
        from trivd_tf.demo.app import listen, make_app, serve
    except ImportError as error:
        raise InputError(
            f"the demo needs a web server ({error}); pip install 'trivd-tf[demo]'"
        ) from error
    from trivd_tf.demo.decoding import warm_up
    from trivd_tf.demo.examples import examples
    from trivd_tf.demo.service import Limits, Service
    from trivd_tf.inference import load_predictor

    bound = listen(args.host, args.port)  # before loading the model, which takes a while
    limits = Limits(upload_bytes=args.max_upload_mb * 2**20)
    folder = None if args.examples is None else Path(args.examples).expanduser()
    predictor = load_predictor(
        os.path.expanduser(args.model),
        standing_batches=args.standing_batches,
        standing_batch_size=args.standing_batch_size,
    )
    clips = examples(predictor, folder, limits.frames)
    service = Service(predictor, clips, _title(args.model), limits)
    print("trivd: getting the model ready", file=sys.stderr)
    with held_back_stderr():  # processes that load TensorFlow here print its messages again
        warm_up()
    service.warm_up()
    local = args.host in _LOOPBACK
    host = "localhost" if local else args.host
    bound.listen()  # from here on the address printed below answers
    print(f"http://{host}:{bound.getsockname()[1]}/", flush=True)
    serve(make_app(service, _CALLED if local else ["*"]), bound)
    return 0


def _title(model: str) -> str:
    """Return the export's own name, or the last part of the path that is not a version."""
    path = shipped.find_model(model)
    try:
        record = (path / model_files.EXPORT_RECORD).read_text(encoding="utf-8")
        return str(json.loads(record)["title"])
    except (OSError, ValueError, KeyError, TypeError):
        return next((part for part in reversed(path.parts) if not part.isdecimal()), model)
