"""What the golden files ask of the instances API, and of all that is not under `/api/v1`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from shared.contracts import errors
from shared.contracts.errors import error_from_code
from shared.contracts.operations import State
from tests.support.golden import givens
from tests.support.golden.exchanges import Case

JSON = {"content-type": "application/json"}
KEY = {"idempotency-key": "key-1"}
PANEL = {"origin": "https://panel.example"}
EVIL = {"origin": "https://evil.example"}
# The request, and an instance that it makes sense for.
ACTIONS = {
    "start": ("POST", "db", "/start"),
    "stop": ("POST", "web", "/stop"),
    "restart": ("POST", "web", "/restart"),
    "pause": ("POST", "web", "/pause"),
    "resume": ("POST", "cache", "/resume"),
    "delete": ("DELETE", "db", ""),
}


def system() -> Iterator[Case]:
    """Yield what is asked of the service itself."""
    for name, path in {
        "root": "/",
        "health": "/api/health",
        "livez": "/livez",
        "readyz": "/readyz",
        "healthz": "/healthz",
        "host-info": "/api/host/info",
        "host-info-of-one": "/api/host/info?host=h2",
        "host-info-of-one-away": "/api/host/info?host=h3",
        "host-info-of-none": "/api/host/info?host=nix",
        "metrics": "/metrics",
        "metrics-of-gateway": "/metrics/gateway",
        "metrics-of-host": "/metrics/hosts/h1",
        "metrics-of-host-without-sample": "/metrics/hosts/h3",
        "metrics-of-no-host": "/metrics/hosts/nix",
        "prometheus-targets": "/api/prometheus/targets",
        "docs": "/docs",
        "console-page": "/console/vm-1",
        "no-console-file": "/console-files/nix.js",
    }.items():
        yield Case(f"system/{name}", f"GET {path}")
    for name in ("health", "readyz", "healthz"):
        path = "/api/health" if name == "health" else f"/{name}"
        yield Case(f"system/{name}-before-the-fleet-is-known", f"GET {path}", unready=True)
        yield Case(
            f"system/{name}-without-database", f"GET {path}", given=givens.the_database_is_away
        )
    yield Case("system/healthz-without-broker", "GET /healthz", given=givens.the_broker_is_away)
    yield Case("system/healthz-blocked", "GET /healthz", given=givens.the_broker_is_blocked)
    yield Case(
        "system/targets-under-a-path",
        "GET /api/prometheus/targets",
        given=givens.the_gateway_stands_under_a_path,
        headers={"x-forwarded-prefix": "/panel"},
    )
    yield Case("system/ticket", "POST /api/ws-tickets")


def access() -> Iterator[Case]:
    """Yield who is let in, and what is no request of ours."""
    for name, path in {"instances": "/api/instances", "vms": "/api/v1/vms"}.items():
        yield Case(f"access/no-token-{name}", f"GET {path}", caller="stranger")
        yield Case(
            f"access/wrong-token-{name}",
            f"GET {path}",
            caller="stranger",
            headers={"x-api-key": "wrong"},
        )
        yield Case(f"access/guest-{name}", f"GET {path}", caller="guest")
        yield Case(f"access/no-path-{name}", f"GET {path}/web/nix/nix")
        yield Case(f"access/method-{name}", f"PATCH {path}")
        yield Case(f"access/options-{name}", f"OPTIONS {path}")
        yield Case(f"access/head-{name}", f"HEAD {path}")
        yield Case(f"access/origin-{name}", f"POST {path}/web/start", headers=EVIL)
        yield Case(f"access/panel-{name}", f"GET {path}/web", headers=PANEL)
        yield Case(f"access/unready-{name}", f"GET {path}", unready=True)
        yield Case(
            f"access/no-json-{name}",
            f"POST {path}/db/start",
            body="force=1",
            headers={"content-type": "text/plain"},
        )
        yield Case(f"access/large-{name}", f"POST {path}/db/start", body=" " * 2**21, headers=JSON)
        yield Case(f"access/bad-json-{name}", f"POST {path}/db/start", body="{", headers=JSON)
        yield Case(
            f"access/host-header-{name}",
            f"GET {path}",
            caller="guest",
            headers={"host": "evil.example"},
        )
    preflight = {**PANEL, "access-control-request-method": "POST"}
    yield Case("access/preflight", "OPTIONS /api/instances/web/start", headers=preflight)
    refused = {**EVIL, "access-control-request-method": "POST"}
    yield Case("access/preflight-refused", "OPTIONS /api/instances/web/start", headers=refused)


def reads() -> Iterator[Case]:
    """Yield what is read of instances, hosts and operations."""
    for name, query in {
        "all": "",
        "of-host": "?host=h2",
        "of-project": "?project=shop",
        "by-status": "?status=running&type=container",
        "by-search": "?search=office",
        "fields": "?fields=name,status&host=h1",
        "first-page": "?limit=3&fields=name,host",
        "of-no-host": "?host=nix",
        "wrong": "?limit=0&type=vm&fields=nix&search=%01",
        "wrong-cursor": "?cursor=nix",
    }.items():
        yield Case(f"instances/list-{name}", f"GET /api/instances{query}")
    for name in ("web", "db", "cache", "rebuilt", "passing", "desktop", "copy", "far", "lost"):
        yield Case(f"instances/one-{name}", f"GET /api/instances/{name}")
    for name, path in {
        "for-a-guest": "/web",
        "resources": "/web/resources",
        "resources-unknown": "/far/resources",
        "missing": "/nix",
        "missing-on-host": "/web?host=h2",
        "on-two-hosts": "/twin",
        "on-the-one-host": "/twin?host=h2",
        "in-two-projects": "/shared",
        "in-the-one-project": "/shared?project=shop",
        "no-name": "/-1x",
    }.items():
        caller = "guest" if name == "for-a-guest" else "admin"
        yield Case(f"instances/{name}", f"GET /api/instances{path}", caller=caller)
    yield Case("hosts/all", "GET /api/hosts")
    for host in ("h1", "h3", "h4", "nix"):
        yield Case(f"hosts/one-{host}", f"GET /api/hosts/{host}")
    yield Case("hosts/as-another", "GET /api/hosts/h1", given=givens.h1_reports_as_another)
    yield Case("hosts/forget", "DELETE /api/hosts/h3")
    yield Case("hosts/forget-one-that-is-there", "DELETE /api/hosts/h1")
    yield Case("hosts/forget-none", "DELETE /api/hosts/nix")
    yield Case("hosts/version-not-reached", "GET /api/hosts", headers={"x-fleet-version": "h1;nix"})


def operations() -> Iterator[Case]:
    """Yield what is asked about operations."""
    done = ("POST /api/instances/db/start", "DELETE /api/instances/far?host=h3")
    yield Case("operations/all", "GET /api/operations", first=done)
    yield Case("operations/of-host", "GET /api/operations?host=h2", first=done)
    yield Case("operations/wrong", "GET /api/operations?limit=0&state=nix&kind=nix&host=a%20b")
    yield Case("operations/no-database", "GET /api/operations", given=givens.the_database_is_away)
    for name, given in {
        "running": givens.an_operation_goes_on,
        "failed": givens.an_operation_has_failed,
        "unknown": givens.an_operation_is_unknown,
    }.items():
        yield Case(f"operations/{name}", "GET /api/operations/op-1", given=given)
        yield Case(f"operations/cancel-{name}", "POST /api/operations/op-1/cancel", given=given)
    yield Case(
        "operations/wait", "GET /api/operations/op-1?wait=0.01", given=givens.an_operation_goes_on
    )
    yield Case("operations/wrong-wait", "GET /api/operations/op-1?wait=x")
    yield Case("operations/missing", "GET /api/operations/nix")
    yield Case("operations/cancel-missing", "POST /api/operations/nix/cancel")


def each_action(prefix: str, base: str) -> Iterator[Case]:
    """Yield every action of one of the APIs, and on what it cannot be."""
    for name, (method, instance, path) in ACTIONS.items():
        request = f"{method} {base}{instance}{path}"
        yield Case(f"{prefix}/{name}", request)
        yield Case(f"{prefix}/{name}-goes-on", request, given=givens.nothing_ends)
        for of, other in (("of-none", "nix"), ("of-two", "twin"), ("away", "far")):
            yield Case(f"{prefix}/{name}-{of}", f"{method} {base}{other}{path}")


def actions() -> Iterator[Case]:
    """Yield every action of the instances API, and how one may end."""
    base = "/api/instances/"
    yield from each_action("actions", base)
    for name, (method, instance, path) in ACTIONS.items():
        yield Case(f"actions/{name}-forced", f"{method} {base}{instance}{path}?force=true")
    start = f"POST {base}db/start"
    yield Case("actions/start-already", f"POST {base}web/start")
    yield Case("actions/stop-already", f"POST {base}db/stop")
    yield Case("actions/start-without-lxd", f"POST {base}lost/start")
    yield Case("actions/start-in-project", f"POST {base}shared/start?project=shop")
    yield Case("actions/start-with-field", start, body={"force": True, "x": 1})
    yield Case("actions/start-with-empty-body", start, body={})
    yield Case("actions/wrong-force", f"{start.replace('start', 'stop')}?force=perhaps")
    yield Case("actions/with-key", start, headers=KEY)
    yield Case("actions/with-key-again", start, headers=KEY, first=(start,))
    yield Case("actions/key-of-another", f"POST {base}web/stop", headers=KEY, first=(start,))
    yield Case("actions/empty-key", start, headers={"idempotency-key": ""})
    yield Case("actions/of-another-host", start, given=givens.h1_reports_as_another)
    yield Case("actions/no-broker", start, given=givens.the_broker_is_away)
    yield Case("actions/no-database", start, given=givens.the_database_is_away)
    busy = givens.worker_says(errors.HostBusy("h1"))
    yield Case("actions/busy", start, given=busy)
    in_use = givens.worker_says(errors.OperationInProgress("db", "op-0"))
    yield Case("actions/in-use", start, given=in_use)
    yield Case("actions/answer-lost", start, given=givens.answers_of_workers_are_lost)
    yield Case("actions/by-a-guest", start, caller="guest")
    for state in (State.CANCELLED, State.REJECTED, State.UNKNOWN):
        yield Case(f"actions/ends-{state}", start, given=givens.operation_ends(state))
    log = givens.operation_fails(errors.LxdRefused("exit status 1"), "lxc start: no such file")
    yield Case("actions/fails-with-log", start, given=log)


def every_error() -> Iterator[Case]:
    """Yield every error there is, as a refusal and as an operation's end, in both APIs."""
    for code, kind in sorted(errors.BY_CODE.items()):
        values = [f"<{each.name}>" for each in fields(kind)] if is_dataclass(kind) else list[str]()
        error = error_from_code(code, values)
        refuses, fails = givens.worker_says(error), givens.operation_fails(error)
        start, start_v1 = "POST /api/instances/db/start", "POST /api/v1/vms/db/start"
        yield Case(f"errors/{code}-refusal", "POST /api/operations/op-1/cancel", given=refuses)
        yield Case(f"errors/{code}-refusal-v1", "GET /api/v1/vms/web/snapshots", given=refuses)
        yield Case(f"errors/{code}-outcome", start, given=fails)
        yield Case(f"errors/{code}-outcome-v1", start_v1, given=fails)


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (system, access, reads, operations, actions, every_error):
        yield from part()
