"""Web server of the demo: the page's files, examples, predictions and downloads.

The page is the only client. The server provides everything it needs, and its headers forbid
requests to other hosts. Requests that compute something carry a header that pages of other sites
cannot send without permission.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trivd_tf.base.errors import InputError, RunError
from trivd_tf.demo.examples import page_file
from trivd_tf.demo.service import UPLOAD, Service, Settings, png, wheel
from trivd_tf.pictures.video_io import Clip, upscale

OWN_HEADER = "x-trivd"
_WAITING = 8  # requests that may wait for the model; further ones are asked to retry
_FILES = {"": "index.html", "style.css": "style.css", "page.js": "page.js", "icon.svg": "icon.svg"}
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class _Refusal(Exception):
    """An error response with a status and one line for the visitor."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def make_app(service: Service, allowed_hosts: Sequence[str] = ("*",)) -> Starlette:
    """Create the application.

    Args:
        service: service that answers requests.
        allowed_hosts: host names under which the page may be requested. Others are rejected, to
            prevent DNS rebinding by other pages.
    """
    handlers = _Handlers(service)
    routes = [
        *(Route(f"/{path}", handlers.file(name)) for path, name in _FILES.items()),
        Route("/api/model", handlers.model),
        Route("/api/wheel.png", handlers.wheel),
        Route("/api/examples/{key}.png", handlers.thumbnail),
        Route("/api/predict", handlers.predict, methods=["POST"]),
        Route("/api/download/{kind}", handlers.download, methods=["POST"]),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))]
    return Starlette(routes=routes, middleware=middleware)


Handler = Callable[[Request], Awaitable[Response]]


def _answered(handler: Callable[["_Handlers", Request], Awaitable[Response]]) -> Any:
    """Convert refusals to JSON for the page, and set the headers of every response."""

    async def answer(self: "_Handlers", request: Request) -> Response:
        try:
            response = await handler(self, request)
        except _Refusal as refusal:
            response = JSONResponse({"error": str(refusal)}, refusal.status)
        except InputError as error:
            response = JSONResponse({"error": " ".join(str(error).split())}, 400)
        except RunError as error:
            response = JSONResponse({"error": " ".join(str(error).split())}, 502)
        response.headers.update(_HEADERS)
        return response

    return answer


class _Handlers:
    """Request handlers, one method per route."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.waiting = 0

    def file(self, name: str) -> Handler:
        kind = _TYPES[name.rsplit(".", 1)[1]]

        async def send(request: Request) -> Response:
            return Response(page_file(name), media_type=kind, headers=_HEADERS)

        return send

    @_answered
    async def model(self, request: Request) -> Response:
        return JSONResponse(self.service.describe())

    @_answered
    async def wheel(self, request: Request) -> Response:
        return Response(wheel(), media_type="image/png")

    @_answered
    async def thumbnail(self, request: Request) -> Response:
        clip = self.service.example(request.path_params["key"]).clip
        picture = upscale(clip.conditioning[-1:], smallest_side=128, method="bicubic")[0]
        return Response(png(picture), media_type="image/png")

    @_answered
    async def predict(self, request: Request) -> Response:
        async with self._turn(request):
            clip, settings = await self._clip(request)
            answer = await anyio.to_thread.run_sync(self.service.panels, clip, settings)
        return Response(json.dumps(answer), media_type="application/json")

    @_answered
    async def download(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        async with self._turn(request):
            clip, settings = await self._clip(request)
            content = await anyio.to_thread.run_sync(self.service.download, clip, settings, kind)
        media_type = {"gif": "image/gif", "mp4": "video/mp4"}[kind]
        return Response(content, media_type=media_type)

    @contextlib.asynccontextmanager
    async def _turn(self, request: Request) -> AsyncIterator[None]:
        if OWN_HEADER not in request.headers:
            raise _Refusal(403, "this address is reserved for the page")
        if self.waiting >= _WAITING:
            raise _Refusal(503, "many people are trying the model just now; try again in a moment")
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    async def _clip(self, request: Request) -> tuple[Clip, Settings]:
        service = self.service
        settings = Settings.parse(request.query_params, service.predictor, service.limits)
        key = request.query_params.get("example")
        if key:
            return service.example(key).clip, settings
        content = await self._receive(request)
        return await anyio.to_thread.run_sync(service.read_upload, content, settings), settings

    async def _receive(self, request: Request) -> bytearray:
        """Return the request body, enforcing the limits regardless of its headers."""
        limits = self.service.limits
        too_large = _Refusal(
            413, f"{UPLOAD} is too large; give at most {limits.upload_bytes / 2**20:.3g} MB"
        )
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and len(stated) < 20 and int(stated) > limits.upload_bytes:
            raise too_large
        content = bytearray()
        try:
            async with asyncio.timeout(limits.upload_seconds):
                async for part in request.stream():
                    content += part
                    if len(content) > limits.upload_bytes:
                        raise too_large
        except TimeoutError:
            raise _Refusal(408, f"{UPLOAD} took too long to arrive") from None
        except ClientDisconnect:
            raise _Refusal(400, f"{UPLOAD} did not arrive whole") from None
        return content


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raise `InputError` if the address is in use or invalid."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(found[0], socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(found[4])
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"{host}:{port}: cannot be listened on ({reason}); give another --port or --host"
        ) from error
    return bound


def serve(app: Starlette, bound: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        ws="none",
        lifespan="off",
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[bound])
