"""The page at `/console/{id}`, which needs nothing but this gateway.

Its terminal is xterm.js, an npm package that is fetched when the project is set up. Where that was
not possible the page says so; everything else works.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from services.gateway.http.errors import HttpError
from services.gateway.http.middleware.authentication import CONSOLE_FILES, CONSOLES

WEB = Path(__file__).resolve().parents[1] / "web"
FILES = {
    "console.js": WEB / "console" / "console.js",
    "console.css": WEB / "console" / "console.css",
    "xterm.js": WEB / "xterm" / "xterm.js",
    "xterm.css": WEB / "xterm" / "xterm.css",
    "addon-fit.js": WEB / "xterm" / "addon-fit.js",
}
HEADERS = {
    "cache-control": "no-cache",
    # xterm.js sets styles of its own.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}

router = APIRouter(include_in_schema=False)


@router.get(CONSOLES + "{id}")
async def page() -> FileResponse:
    """Return the page; it shows nothing of an instance before its caller has shown a token."""
    return FileResponse(WEB / "console" / "index.html", headers=HEADERS)


@router.get(CONSOLE_FILES + "{name}")
async def file(name: str) -> FileResponse:
    """Return a file that the page is made of."""
    if name not in FILES or not FILES[name].exists():
        raise HttpError("route_not_found", path=CONSOLE_FILES + name)
    return FileResponse(FILES[name], headers=HEADERS)
