"""The description `/openapi.json`, and the page `/docs` that shows it without the internet.

Both are in the caller's language, by `Accept-Language` or, for links, by `?lang=`.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Annotated, Any, get_args

import fastapi_offline
import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles

from services.gateway.bilingual import Language, in_language
from services.gateway.http.errors import language_of
from services.gateway.http.openapi import ENUMERATIONS
from services.gateway.http.openapi_links import add_links
from services.gateway.http.prefix import prefix_of
from services.gateway.http.schemas import SchemaOf, response_schemas

FILES = "/static-offline-docs"
NULL = {"type": "null"}
HTML_LANGUAGES: dict[Language, str] = {"zh": "zh-CN", "en": "en"}

router = APIRouter(include_in_schema=False)


class DescribedApp(FastAPI):
    """An app whose description says what is enforced, and is served with a page that shows it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(openapi_url=None, **options)
        self._descriptions: dict[Language, bytes] = {}
        self._making = Lock()
        self.router.routes.extend(router.routes)
        self.mount(FILES, StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))

    def encoded_openapi(self, language: Language) -> bytes:
        """Return the description as JSON; it is made once, in all languages."""
        with self._making:
            if not self._descriptions:
                document = self._bilingual()
                self._descriptions = {
                    each: msgspec.json.encode(in_language(document, each))
                    for each in get_args(Language)
                }
        return self._descriptions[language]

    def openapi(self, language: Language = "zh") -> dict[str, Any]:
        """Return the description."""
        document: dict[str, Any] = msgspec.json.decode(self.encoded_openapi(language))
        return document

    def _bilingual(self) -> dict[str, Any]:
        document = super().openapi()
        self.openapi_schema = None
        for ways in document["paths"].values():
            for operation in ways.values():
                _without_null(operation.get("parameters", ()))
        schemas = document["components"]["schemas"]
        schemas |= response_schemas(_referred(self))
        for name, description in ENUMERATIONS.items():
            schemas[name]["description"] = description
        add_links(document)
        return document


def _referred(app: FastAPI) -> list[SchemaOf]:
    """Return what the routes of an app say that they answer."""
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    contents = [
        content
        for route in routes
        for answer in route.responses.values()
        for content in answer["content"].values()
    ]
    return [each["schema"] for each in contents if isinstance(each["schema"], SchemaOf)]


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


async def reader_language(request: Request, lang: Language | None = None) -> Language:
    """Return the language that the address names, or else the browser prefers."""
    return lang or language_of(request)


ReaderLanguage = Annotated[Language, Depends(reader_language)]


@router.get("/openapi.json")
def description(request: Request, language: ReaderLanguage) -> Response:
    """Return the description, with the path under which its reader found it.

    It runs in a thread: to make the description takes half a second.
    """
    document: bytes = request.app.encoded_openapi(language)
    if prefix := prefix_of(request):
        servers = msgspec.json.encode({"servers": [{"url": prefix}]})
        document = servers.removesuffix(b"}") + b"," + document.removeprefix(b"{")
    return Response(document, media_type="application/json", headers=_headers(language))


@router.get("/docs")
async def page(request: Request, language: ReaderLanguage) -> HTMLResponse:
    """Return the page; its addresses are relative, so that they are right under any path."""
    files = FILES.removeprefix("/")
    shown = get_swagger_ui_html(
        openapi_url=f"openapi.json?lang={language}",
        title=f"{in_language(request.app.title, language)} - Swagger UI",
        swagger_js_url=f"{files}/swagger-ui-bundle.js",
        swagger_css_url=f"{files}/swagger-ui.css",
        swagger_favicon_url=f"{files}/favicon.png",
    )
    html = bytes(shown.body).replace(
        b"<html>", f'<html lang="{HTML_LANGUAGES[language]}">'.encode()
    )
    return HTMLResponse(html, headers=_headers(language))


def _headers(language: Language) -> dict[str, str]:
    return {"content-language": language, "vary": "Accept-Language"}
