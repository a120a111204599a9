"""An image server in the simplestreams format on loopback: it has one image, made of busybox."""

from __future__ import annotations

import hashlib
import json
import platform
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.local import busybox_image

ALIAS = "busybox/1"
IMAGE = "images/busybox.tar.gz"
INDEX = "streams/v1/index.json"
PRODUCTS = "streams/v1/images.json"
# What LXD takes for a whole image, and what Incus does.
KINDS = ("lxd_combined.tar.gz", "incus_combined.tar.gz")
# How long a download may be held; then it goes on, so that a failed test ends.
HOLD_S = 30.0


@dataclass(frozen=True, slots=True)
class ImageServer:
    """A running server; its second half of an image comes when nobody holds it."""

    address: str
    released: threading.Event
    asked: list[str] = field(default_factory=list)

    def hold(self) -> None:
        """Send no more than the first half of an image from now on."""
        self.released.clear()

    def release(self) -> None:
        """Send all of it."""
        self.released.set()


@contextmanager
def image_server() -> Iterator[ImageServer]:
    """Serve the image; under `/odd` nothing makes sense, `/moved` leads to other protocols."""
    files = _files(busybox_image.build("served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as listener:
        running = ImageServer(f"http://127.0.0.1:{listener.server_port}", threading.Event())
        running.release()
        listener.files, listener.running = files, running  # type: ignore[attr-defined]
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield running
        finally:
            running.release()
            listener.shutdown()
            thread.join()


def catalogue(image: bytes = b"", **changes: Any) -> dict[str, Any]:
    """Return the products of a server that has one image for this machine."""
    packed = {
        "path": IMAGE,
        "sha256": hashlib.sha256(image).hexdigest(),
        "size": len(image),
    }
    product = {
        "aliases": f"{ALIAS},busybox/latest",
        "arch": platform.machine(),
        "os": "BusyBox",
        "release": "1",
        "release_title": "1",
        "versions": {
            "20261120_0700": {"items": {kind: packed | {"ftype": kind} for kind in KINDS}}
        },
    }
    return {"format": "products:1.0", "products": {"busybox:1": product | changes}}


def index(*paths: str) -> dict[str, Any]:
    """Return an index of these files of products."""
    entries = {
        path: {"datatype": "image-downloads", "path": path, "products": ["busybox:1"]}
        for path in paths
    }
    return {"format": "index:1.0", "index": entries}


def _files(image: bytes) -> Mapping[str, bytes]:
    return {
        f"/{INDEX}": json.dumps(index(PRODUCTS)).encode(),
        f"/{PRODUCTS}": json.dumps(catalogue(image)).encode(),
        f"/{IMAGE}": image,
        f"/odd/{INDEX}": b"[" * 100_000,
    }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        running, files = self.server.running, self.server.files  # type: ignore[attr-defined]
        running.asked.append(self.path)
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", running.address.replace("http:", "https:"))
            self.end_headers()
            return
        body = files.get(self.path)
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        if body and self.path == f"/{IMAGE}":
            self._begin(body)
            running.released.wait(HOLD_S)
            self.wfile.write(body[len(body) // 2 :])
        elif body:
            self.wfile.write(body)

    def _begin(self, body: bytes) -> None:
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""
