"""The description `/openapi.json`, and the page `/docs` that shows it without the internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from services.gateway.http.prefix import prefix_of

FILES = "/static-offline-docs"

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add the description, the page, and the files of which the page is made."""
    app.router.routes.extend(router.routes)
    app.mount(FILES, StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))


@router.get("/openapi.json")
async def description(request: Request) -> JSONResponse:
    """Return the description, with the path under which its reader found it."""
    document: dict[str, Any] = request.app.openapi()
    prefix = prefix_of(request)
    return JSONResponse({**document, "servers": [{"url": prefix}]} if prefix else document)


@router.get("/docs")
async def page(request: Request) -> HTMLResponse:
    """Return the page; its addresses are relative, so that they are right under any path."""
    files = FILES.removeprefix("/")
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title=f"{request.app.title} - Swagger UI",
        swagger_js_url=f"{files}/swagger-ui-bundle.js",
        swagger_css_url=f"{files}/swagger-ui.css",
        swagger_favicon_url=f"{files}/favicon.png",
    )
