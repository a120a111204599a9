"""Who may come in, for HTTP and WebSockets alike.

With a token in the settings, a caller shows it (`Authorization: Bearer` or `X-API-Key`) or comes
from an open network. Without one, the gateway listens on loopback only and whoever is there may do
everything, unless a proxy there passes on the request of somebody else; then its name and origin
are checked, or any web page could use it too.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_network
from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway.consoles import Console
from services.gateway.http.errors import HttpError
from services.gateway.http.middleware.forwarded import PROXIED, Address, parse_address
from services.gateway.http.origins import host_allowed, origin_allowed
from services.gateway.http.tickets import Tickets
from services.gateway.operations.command import Caller
from services.gateway.settings import HttpSettings
from shared.platform import logs

OPEN_PATHS = frozenset({"/", "/api/health", "/livez", "/readyz", "/docs", "/openapi.json"})
# Its pages are open, for they show nothing; its WebSockets take a password each.
CONSOLES = "/console/"
CONSOLE_FILES = "/console-files/"
OPEN_FOLDERS = ("/static-offline-docs/", CONSOLE_FILES)
READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Authenticator:
    """Decides on a connection before anything else looks at it."""

    def __init__(
        self, settings: HttpSettings, tickets: Tickets[Caller], passwords: Tickets[Console]
    ) -> None:
        self._settings = settings
        # An empty token would be one that everybody knows.
        self._token = settings.token or None
        self._tickets = tickets
        self._passwords = passwords
        self._open = [ip_network(network) for network in settings.open_networks]

    def admit(self, connection: HTTPConnection, ticket: str | None = None) -> Caller:
        """Return who is calling; raise HttpError `unauthorized` or what else stands in the way."""
        self._check_origin(connection)
        if ticket is not None:
            return self._with_ticket(ticket)
        token = _token(connection)
        if token is not None and self._token is not None:
            return self._with_token(token, self._token, connection)
        return self._without_token(connection)

    def admit_to_console(self, connection: HTTPConnection, password: str) -> Console:
        """Return the console that the password is for, if the address is that of its instance."""
        self._check_origin(connection)
        console = self._passwords.redeem(password)
        if console is None or connection.scope["path"] != f"{CONSOLES}{console.id}":
            raise _unauthorized()
        return console

    def _check_origin(self, connection: HTTPConnection) -> None:
        origin = connection.headers.get("origin")
        if origin is None or connection.scope.get("method", "WEBSOCKET") in READING:
            return
        host = connection.headers.get("host", "")
        if not origin_allowed(origin, host, self._settings.allowed_origins):
            raise HttpError("origin_not_allowed", origin=origin)

    def _with_ticket(self, ticket: str) -> Caller:
        caller = self._tickets.redeem(ticket)
        if caller is None:
            raise _unauthorized()
        return caller

    def _with_token(self, token: str, known: str, connection: HTTPConnection) -> Caller:
        if not hmac.compare_digest(token.encode(), known.encode()):
            raise _unauthorized()
        return _caller("admin", connection, may_see_secrets=True)

    def _without_token(self, connection: HTTPConnection) -> Caller:
        address = _peer(connection)
        local = address is not None and address.is_loopback and not _is_proxied(connection)
        trusted = self._token is None and local
        if not trusted and not self._in_open_network(address):
            raise _unauthorized()
        self._check_host(connection)
        return _caller("local", connection, may_see_secrets=trusted)

    def _in_open_network(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._open)

    def _check_host(self, connection: HTTPConnection) -> None:
        host = connection.headers.get("host")
        settings = self._settings
        if host and not host_allowed(host, settings.binds, settings.allowed_origins):
            raise HttpError("host_header_not_allowed", host=host)


class AuthenticationMiddleware:
    """ASGI middleware: lets in whom the gate admits, as `state["caller"]`."""

    def __init__(self, app: ASGIApp, gate: Authenticator) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Admit, or raise before anything is read or sent."""
        if scope["type"] != "lifespan" and not _is_open(scope):
            scope.setdefault("state", {}).update(self._admitted(HTTPConnection(scope)))
        await self._app(scope, receive, send)

    def _admitted(self, connection: HTTPConnection) -> dict[str, object]:
        if connection.scope["path"].startswith(CONSOLES):
            password = _taken(connection, "password") or ""
            console = self._gate.admit_to_console(connection, password)
            return {"caller": console.caller, "console": console}
        return {"caller": self._gate.admit(connection, _taken(connection, "ticket"))}


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    page = scope["type"] == "http" and path.startswith(CONSOLES)
    return page or path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def _taken(connection: HTTPConnection, secret: str) -> str | None:
    """Return a WebSocket's secret, and take it out of the address before a server logs that."""
    scope, query = connection.scope, connection.query_params
    if scope["type"] != "websocket" or secret not in query:
        return None
    rest = [(name, value) for name, value in query.multi_items() if name != secret]
    scope["query_string"] = urlencode(rest).encode()
    return query[secret]


def _token(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return connection.headers.get("x-api-key")


def _is_proxied(connection: HTTPConnection) -> bool:
    return PROXIED in connection.scope.get("state", {})


def _peer(connection: HTTPConnection) -> Address | None:
    return parse_address(connection.client.host) if connection.client else None


def _caller(principal: str, connection: HTTPConnection, *, may_see_secrets: bool) -> Caller:
    return Caller(
        principal=principal,
        address=str(_peer(connection) or ""),
        may_see_secrets=may_see_secrets,
        correlation_id=logs.correlation_id.get(),
    )


def _unauthorized() -> HttpError:
    return HttpError("unauthorized", headers={"www-authenticate": "Bearer"})
