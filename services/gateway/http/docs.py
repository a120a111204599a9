"""The description `/openapi.json`, and the page `/docs` that shows it without the internet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from services.gateway.http.links import add_links
from services.gateway.http.prefix import prefix_of

FILES = "/static-offline-docs"
NULL = {"type": "null"}

router = APIRouter(include_in_schema=False)


class DescribedApp(FastAPI):
    """An app whose description says what is enforced, and is served with a page that shows it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(openapi_url=None, **options)
        self.router.routes.extend(router.routes)
        self.mount(FILES, StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))

    def openapi(self) -> dict[str, Any]:
        """Return the description; it is made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            for ways in document["paths"].values():
                for operation in ways.values():
                    _without_null(operation.get("parameters", ()))
            add_links(document)
        return self.openapi_schema or {}


def _without_null(parameters: list[dict[str, Any]]) -> None:
    """Take null out of what parameters may be: one that is not given is left out."""
    for parameter in parameters:
        schema = parameter["schema"]
        choices = schema.get("anyOf", [])
        if NULL in choices:
            del schema["anyOf"]
            [choice] = [each for each in choices if each != NULL]
            # What the parameter itself says comes before what is said of any text.
            parameter["schema"] = {**choice, **schema}


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
