"""What the golden files ask of the VM API v1."""

from __future__ import annotations

from collections.abc import Iterator

from shared.contracts import errors
from tests.support.golden import givens
from tests.support.golden.exchanges import Case
from tests.support.golden.fleet import uuid
from tests.support.golden.instances import ACTIONS, KEY, each_action

BASE = "/api/v1/vms"
WEB = f"{BASE}/vm-{uuid(1)}"
MY_VM = {
    "name": "my-vm",
    "template": "ubuntu20.04",
    "cpu": 2,
    "memory": 2048,
    "disk": 10,
    "network": {"type": "bridge", "bridge": "br0"},
    "autoStart": False,
}
MORE = {
    "network": {"type": "network", "name": "lxdbr0"},
    "autoStart": True,
    "host": "h1",
    "placement": "fewest_instances",
    "type": "container",
    "project": "shop",
    "description": "the shop",
    "labels": {"team": "shop"},
    "limits": {"network": {"ingressMbit": 100}, "disk": {"writeMbyte": 10}, "processes": 500},
    "sshKeys": ["ssh-ed25519 AAAAC3Nza me@home"],
    "cloudInit": "#cloud-config\n",
    "rootPassword": "pa55!word",
    "ssh": True,
    "ports": 3,
}
SAFELY = {"safetySnapshot": True}
POLICIES, POLICY = "/api/v1/policies", givens.POLICY
NEW_POLICY: dict[str, object] = {
    "name": "daily",
    "schedule": {"cron": "30 2 * * *", "timezone": "Asia/Shanghai"},
    "selection": {"labels": {"env": "prod"}},
    "retention": {"keepLast": 3, "keepDaily": 7},
}
WHOLE_POLICY: dict[str, object] = {
    "schedule": {"cron": "0 */6 * * *", "timezone": "UTC", "jitterSeconds": 600},
    "selection": {"hosts": ["h1"], "projects": ["default"], "names": ["w*"], "labels": {}},
    "retention": {"keepHourly": 4, "keepYearly": 1, "keepTags": ["release"], "rule": "pbs"},
    "enabled": False,
    "description": "每六小时",
    "pattern": "{policy}-{instance}-{time}",
    "pre": {"command": ["/bin/sync"], "timeoutSeconds": 5},
    "post": {"command": ["logger", "done"]},
    "stateful": True,
    "atOnce": 1,
}
WRONG_POLICY = {
    "name": "a b",
    "schedule": {"cron": "* * * *", "timezone": "Nix/Nix", "jitterSeconds": -1},
    "selection": {"names": ["a/b"], "labels": {"a b": "c"}},
    "retention": {"keepLast": -1, "keepTags": ["a b"]},
    "pattern": "a/{time}",
    "pre": {"command": [""]},
    "atOnce": 0,
    "stateful": "yes",
    "x": 1,
}
WRONG = {
    "name": "a\nb",
    "template": "",
    "cpu": 0,
    "memory": "2048",
    "disk": -1,
    "network": {"type": "bridge", "name": "br0"},
    "autoStart": "yes",
    "placement": "luck",
    "type": "vm",
    "labels": {"a b": "c"},
    "sshKeys": ["ssh-rsa"],
    "rootPassword": "with space",
    "ports": -1,
    "size": 3,
}
FORWARDS = {
    "forwards": [
        {"protocol": "tcp", "listen": 20001, "connect": 22, "count": 1},
        {"protocol": "udp", "connect": 53},
    ]
}


def reads() -> Iterator[Case]:
    """Yield what is read of VMs."""
    for name, query in {
        "all": "?limit=100",
        "default": "",
        "second-page": "?page=2&limit=3",
        "by-status": "?status=running&limit=100",
        "by-label": "?label=env=prod&label=team",
        "by-more": "?host=h2&type=virtual-machine&project=default&search=office",
        "fields": "?fields=id,name,status&limit=2",
        "empty-filter": "?status=&search=",
        "none": "?search=nix",
        "of-no-host": "?host=nix",
        "wrong": "?page=0&limit=x&status=nix&type=vm&fields=nix",
        "wrong-cursor": "?cursor=nix",
    }.items():
        yield Case(f"vms/list-{name}", f"GET {BASE}{query}")
    for name in ("web", "db", "cache", "rebuilt", "passing", "desktop", "far", "lost", "h2:copy"):
        yield Case(f"vms/one-{name.replace(':', '-')}", f"GET {BASE}/{name}")
    for name, path in {
        "by-uuid": f"/vm-{uuid(1)}",
        "by-display-name": "/Web%20Server",
        "missing": "/nix",
        "of-two-hosts": "/twin",
        "of-two-projects": "/shared",
        "of-one-project": "/shared?project=shop",
        "status": "/web/status",
        "status-away": "/far/status",
        "ports": "/web/ports",
        "ports-of-none": "/nix/ports",
        "metrics": "/web/metrics",
        "metrics-of-a-time": "/web/metrics?from=2026-01-01&to=2026-12-31T00:00:00Z&interval=5m",
        "metrics-wrong": "/web/metrics?from=x&to=y&interval=2m",
        "metrics-backwards": "/web/metrics?from=2026-02-01&to=2026-01-01",
        "metrics-stopped": "/db/metrics",
        "console": "/web/console",
        "console-vga": "/desktop/console?type=vga",
        "console-of-machine": "/desktop/console",
        "console-wrong": "/web/console?type=nix",
        "console-no-screen": "/web/console?type=vga",
        "console-stopped": "/db/console",
        "console-away": "/far/console",
        "log-away": "/far/log",
        "snapshots": "/web/snapshots",
        "snapshots-away": "/far/snapshots",
        "snapshots-of-none": "/nix/snapshots",
    }.items():
        yield Case(f"vms/{name}", f"GET {BASE}{path}")
    yield Case("vms/for-a-guest", f"GET {BASE}/web", caller="guest")
    yield Case("vms/log", f"GET {BASE}/web/log", given=givens.lxd_has_written_a_log)
    yield Case("vms/log-empty", f"GET {BASE}/web/log")
    yield Case("vms/templates", "GET /api/v1/templates")
    yield Case("vms/templates-unready", "GET /api/v1/templates", unready=True)
    made = (f"POST {BASE}/web/snapshots",)
    yield Case("vms/snapshots-after-one", f"GET {BASE}/web/snapshots", first=made)
    away = givens.the_database_is_away
    yield Case("vms/snapshots-no-database", f"GET {BASE}/web/snapshots", given=away)


def protection() -> Iterator[Case]:
    """Yield how instances are protected by snapshot policies."""
    base = "GET /api/v1/protection"
    for name, query in {
        "all": "?limit=100",
        "first-page": "?limit=2",
        "second-page": "?limit=2&page=2",
        "of-a-state": "?state=failing",
        "of-a-host": "?host=h1&state=unprotected&limit=100",
        "of-a-project": "?project=shop",
        "search": "?search=web&state=",
        "none": "?search=nix",
        "of-no-host": "?host=nix",
        "wrong": "?state=nix&page=0",
        "wrong-cursor": "?cursor=nix",
    }.items():
        yield Case(f"protection/{name}", f"{base}{query}")
    yield Case("protection/unready", base, unready=True)
    yield Case("protection/stranger", base, caller="stranger")


def policies() -> Iterator[Case]:
    """Yield what is done with snapshot policies."""
    base, one = POLICIES, f"{POLICIES}/{POLICY}"
    there = givens.there_are_policies
    away, silent = givens.the_snapshots_service_is_away, givens.the_snapshots_service_is_silent
    for name, request in {
        "list": f"GET {base}",
        "one": f"GET {one}",
        "one-disabled": f"GET {base}/p-off",
        "one-missing": f"GET {base}/nix",
        "runs": f"GET {base}/runs",
        "runs-filtered": f"GET {base}/runs?host=h1&vm=web&state=failed&limit=2&cursor=c-1",
        "runs-of-one": f"GET {one}/runs",
        "runs-of-no-vm": f"GET {base}/runs?vm=nix",
        "runs-wrong": f"GET {base}/runs?state=nix&limit=0",
        "plans": f"GET {base}/plans",
        "simulate": f"GET {one}/simulate?days=2",
        "simulate-one-vm": f"GET {one}/simulate?vm=web&limit=1",
        "simulate-away": f"GET {one}/simulate?vm=far",
        "simulate-missing": f"GET {base}/nix/simulate",
        "simulate-wrong": f"GET {one}/simulate?days=-1&limit=99",
        "delete": f"DELETE {one}",
        "delete-missing": f"DELETE {base}/nix",
        "run": f"POST {one}/run",
        "run-disabled": f"POST {base}/p-off/run",
        "run-missing": f"POST {base}/nix/run",
    }.items():
        yield Case(f"policies/{name}", request, given=there)
    yield Case("policies/none", f"GET {base}")
    yield Case("policies/for-a-guest", f"GET {one}", caller="guest", given=there)
    yield Case("policies/by-a-guest", f"POST {base}", NEW_POLICY, caller="guest")
    for name, given in {"away": away, "silent": silent}.items():
        yield Case(f"policies/list-{name}", f"GET {base}", given=given)
        yield Case(f"policies/create-{name}", f"POST {base}", NEW_POLICY, given=given)
        yield Case(f"policies/plans-{name}", f"GET {base}/plans", given=given)
    yield Case("policies/create", f"POST {base}", NEW_POLICY)
    yield Case("policies/create-all", f"POST {base}", NEW_POLICY | WHOLE_POLICY)
    nothing = NEW_POLICY | {"selection": {}}
    yield Case("policies/create-of-nothing", f"POST {base}", nothing)
    unfit = NEW_POLICY | {"selection": {"names": ["nix-*"]}}
    yield Case("policies/create-that-fits-nothing", f"POST {base}", unfit)
    yield Case("policies/create-name-taken", f"POST {base}", NEW_POLICY, given=there)
    yield Case("policies/create-wrong", f"POST {base}", WRONG_POLICY)
    yield Case("policies/create-nothing", f"POST {base}", {})
    never = NEW_POLICY | {"schedule": {"cron": "0 0 30 2 *"}}
    yield Case("policies/create-never-due", f"POST {base}", never)
    renamed = NEW_POLICY | {"name": "nightly", "revision": 1, "id": "x", "warnings": []}
    yield Case("policies/replace", f"PUT {one}", renamed, given=there)
    current, stale = {"if-match": '"3"'}, {"if-match": '"2"'}
    yield Case("policies/replace-if", f"PUT {one}", renamed, headers=current, given=there)
    yield Case("policies/replace-stale", f"PUT {one}", renamed, headers=stale, given=there)
    yield Case("policies/replace-missing", f"PUT {base}/nix", renamed, given=there)
    yield Case("policies/replace-wrong", f"PUT {one}", WRONG_POLICY, given=there)
    yield Case("policies/delete-stale", f"DELETE {one}", headers=stale, given=there)
    at = {"vm": "web", "at": "2026-11-18T11:00:00.5+00:00"}
    yield Case("policies/run-one-vm", f"POST {one}/run", at, given=there)
    yield Case("policies/run-away", f"POST {one}/run", {"vm": "far"}, given=there)
    yield Case("policies/run-no-vm", f"POST {one}/run", {"vm": "nix"}, given=there)
    yield Case("policies/run-long-ago", f"POST {one}/run", {"at": "2020-01-01"}, given=there)
    old = {"at": "2026-11-17T11:00:00Z"}
    yield Case("policies/run-too-long-ago", f"POST {one}/run", old, given=there)
    yield Case("policies/run-wrong", f"POST {one}/run", {"at": "now", "x": 1}, given=there)
    any_policy = {"policy": NEW_POLICY, "days": 2, "vm": "web"}
    yield Case("policies/simulate-unsaved", f"POST {base}/simulate", any_policy, given=there)
    wrong = {"policy": WRONG_POLICY, "days": "x", "limit": 0}
    yield Case("policies/simulate-unsaved-wrong", f"POST {base}/simulate", wrong)
    yield Case("policies/simulate-unready", f"GET {one}/simulate", given=there, unready=True)


def actions() -> Iterator[Case]:
    """Yield every action of the document, and how one may end."""
    yield from each_action("vm-actions", f"{BASE}/")
    for name, (method, instance, path) in ACTIONS.items():
        request = f"{method} {BASE}/{instance}{path}"
        yield Case(f"vm-actions/{name}-wrong", request, body={"force": "yes", "x": 1})
    start, stop = f"POST {BASE}/db/start", f"POST {BASE}/web/stop"
    yield Case("vm-actions/start-already", f"POST {BASE}/web/start")
    yield Case("vm-actions/stop-already", f"POST {BASE}/db/stop")
    yield Case("vm-actions/resume-already", f"POST {BASE}/web/resume")
    yield Case("vm-actions/stop-forced", stop, body={"force": True})
    yield Case("vm-actions/delete-forced", f"DELETE {BASE}/web?force=true")
    yield Case("vm-actions/by-uuid", f"POST {WEB}/stop")
    yield Case("vm-actions/with-key-again", start, headers=KEY, first=(start,))
    yield Case("vm-actions/key-of-another", stop, headers=KEY, first=(start,))
    yield Case("vm-actions/no-database", start, given=givens.the_database_is_away)
    yield Case("vm-actions/no-broker", start, given=givens.the_broker_is_away)
    yield Case("vm-actions/answer-lost", start, given=givens.answers_of_workers_are_lost)
    log = givens.operation_fails(errors.LxdRefused("exit status 1"), "lxc start: no such file")
    yield Case("vm-actions/fails-with-log", start, given=log)


def changes() -> Iterator[Case]:
    """Yield what changes a VM otherwise."""
    update, rename = f"PUT {BASE}/web", f"POST {BASE}/db/rename"
    new = {
        "cpu": 4,
        "memory": 4096,
        "disk": 40,
        "description": "the new shop",
        "autoStart": False,
        "labels": {"env": "test"},
        "limits": {"network": {"ingressMbit": 0}, "processes": None},
    }
    yield Case("vm-changes/update", update, body=new)
    yield Case("vm-changes/update-goes-on", update, body=new, given=givens.nothing_ends)
    yield Case("vm-changes/update-nothing", update, body={"cpu": 2})
    yield Case("vm-changes/update-empty", update, body={})
    wrong = {"cpu": 0, "memory": "1", "labels": {"a b": "c"}, "nix": 1, "limits": {"processes": -1}}
    yield Case("vm-changes/update-wrong", update, body=wrong)
    yield Case("vm-changes/update-name", update, body={"name": "other"})
    yield Case("vm-changes/update-a-list", update, body=[])
    stale = {"if-match": '"stale"'}
    yield Case("vm-changes/update-stale", update, body=new, headers=stale)
    yield Case("vm-changes/update-if-any", update, body=new, headers={"if-match": "*"})
    yield Case("vm-changes/rename", rename, body={"name": "New Name"})
    yield Case("vm-changes/rename-to-the-same", rename, body={"name": "db"})
    yield Case("vm-changes/rename-to-another", rename, body={"name": "web"})
    yield Case("vm-changes/rename-wrong", rename, body={"name": ""})
    yield Case("vm-changes/password", f"POST {BASE}/web/password", body={"password": "S3cretPw"})
    yield Case("vm-changes/password-drawn", f"POST {BASE}/web/password")
    yield Case("vm-changes/password-wrong", f"POST {BASE}/web/password", body={"password": "a b"})
    unset = givens.the_guest_has_no_chpasswd
    yield Case("vm-changes/password-not-set", f"POST {BASE}/web/password", given=unset)
    yield Case("vm-changes/ports", f"PUT {BASE}/web/ports", body=FORWARDS)
    yield Case("vm-changes/ports-none", f"PUT {BASE}/web/ports", body={"forwards": []})
    wrong_ports = {"forwards": [{"connect": 0, "listen": 70000, "protocol": "sctp", "x": 1}]}
    yield Case("vm-changes/ports-wrong", f"PUT {BASE}/web/ports", body=wrong_ports)
    yield Case("vm-changes/ports-stale", f"PUT {BASE}/web/ports", body=FORWARDS, headers=stale)
    rebuild = f"POST {BASE}/web/rebuild"
    yield Case("vm-changes/rebuild", rebuild, body={"template": "ubuntu20.04"})
    on = givens.nothing_ends
    yield Case("vm-changes/rebuild-goes-on", rebuild, body={"template": "busybox"}, given=on)
    yield Case("vm-changes/rebuild-of-nothing", rebuild, body={"template": "nix"})
    yield Case("vm-changes/rebuild-wrong", rebuild, body={"image": "x"})
    yield Case("vm-changes/revert", f"POST {BASE}/rebuilt/rebuild/revert")
    lost = givens.operation_fails(errors.TrashNotFound("web"))
    yield Case("vm-changes/revert-nothing", f"POST {BASE}/web/rebuild/revert", given=lost)


def snapshots() -> Iterator[Case]:
    """Yield what is done with snapshots."""
    base = f"{BASE}/web/snapshots"
    new = {"name": "backup-2024-01-01", "description": "系统更新前的备份"}
    yield Case("vm-snapshots/make", f"POST {base}", body=new)
    yield Case("vm-snapshots/make-stateful", f"POST {base}", body={"name": "s", "stateful": True})
    yield Case("vm-snapshots/make-wrong", f"POST {base}", body={"name": "a/b", "stateful": 1})
    yield Case("vm-snapshots/make-goes-on", f"POST {base}", body=new, given=givens.nothing_ends)
    yield Case("vm-snapshots/restore", f"POST {base}/before/restore")
    for name, safety in {"first": True, "named": "my-own", "wrong": "a/b", "number": 1}.items():
        body = {"safetySnapshot": safety}
        yield Case(f"vm-snapshots/restore-safety-{name}", f"POST {base}/before/restore", body=body)
    on_h2 = f"POST {BASE}/desktop/snapshots/before"
    yield Case("vm-snapshots/restore-safety-outdated", f"{on_h2}/restore", body=SAFELY)
    marks = {"protected": True, "tags": ["release", "release", "1.0"]}
    yield Case("vm-snapshots/mark", f"PUT {base}/before/marks", body=marks)
    yield Case("vm-snapshots/mark-nothing", f"PUT {base}/before/marks", body={})
    yield Case("vm-snapshots/mark-none", f"PUT {base}/nix/marks", body=marks)
    yield Case("vm-snapshots/mark-away", f"PUT {BASE}/far/snapshots/x/marks", body=marks)
    yield Case("vm-snapshots/mark-outdated", f"PUT {on_h2[5:]}/marks", body=marks)
    wrong_marks = {"protected": 1, "tags": ["a b", ""], "x": 1}
    yield Case("vm-snapshots/mark-wrong", f"PUT {base}/before/marks", body=wrong_marks)
    clone, on = f"POST {base}/before/clone", givens.nothing_ends
    copied = {"name": "Web Restored", "autoStart": True, "labels": {"env": "test"}}
    yield Case("vm-snapshots/clone", clone, body={"name": "Web Restored"}, given=on)
    yield Case("vm-snapshots/clone-all", clone, body=copied | {"description": "x"}, given=on)
    yield Case("vm-snapshots/clone-done", clone, body=copied)
    yield Case("vm-snapshots/clone-name-taken", clone, body={"name": "Web Server"})
    yield Case("vm-snapshots/clone-wrong", clone, body={"name": "", "autoStart": 1, "cpu": 2})
    yield Case("vm-snapshots/clone-outdated", f"{on_h2}/clone", body=copied)
    yield Case("vm-snapshots/clone-away", f"POST {BASE}/far/snapshots/x/clone", body=copied)
    missing = givens.worker_says(errors.SnapshotNotFound("web", "before"))
    yield Case("vm-snapshots/clone-none", clone, body=copied, given=missing)
    yield Case("vm-snapshots/delete", f"DELETE {base}/before")
    lost = givens.operation_fails(errors.SnapshotNotFound("web", "nix"))
    yield Case("vm-snapshots/restore-none", f"POST {base}/nix/restore", given=lost)
    yield Case("vm-snapshots/delete-none", f"DELETE {base}/nix", given=lost)


def creation() -> Iterator[Case]:
    """Yield what is asked when VMs are made."""
    request = f"POST {BASE}"
    yield Case("vm-creation/document", request, body=MY_VM, given=givens.nothing_ends)
    yield Case("vm-creation/done-at-once", request, body=MY_VM)
    yield Case("vm-creation/everything", request, body=MY_VM | MORE, given=givens.nothing_ends)
    yield Case("vm-creation/nothing", request, body={})
    yield Case("vm-creation/wrong", request, body=WRONG)
    not_there = {
        "network": {"type": "bridge", "bridge": "br9"},
        "template": "nix",
        "host": "h9",
        "project": "nix",
    }
    yield Case("vm-creation/not-there", request, body=MY_VM | not_there)
    yield Case("vm-creation/too-large", request, body=MY_VM | {"cpu": 64, "memory": 10**6})
    yield Case("vm-creation/name-taken", request, body=MY_VM | {"name": "Web Server"})
    yield Case("vm-creation/on-host-away", request, body=MY_VM | {"host": "h3"})
    yield Case("vm-creation/on-host-without-lxd", request, body=MY_VM | {"host": "h4"})
    served = {"template": "images:alpine/3.22", "network": None}
    yield Case("vm-creation/served", request, body=MY_VM | served, given=givens.nothing_ends)
    yield Case("vm-creation/unread", request, body=MY_VM | {"template": "unread:nix"})
    yield Case("vm-creation/machine", request, body=MY_VM | {"type": "virtual-machine"})
    yield Case("vm-creation/busy", request, body=MY_VM, given=givens.hosts_are_busy)
    full = givens.worker_says(errors.InsufficientResources("h1", "memory", "2", "1"))
    yield Case("vm-creation/full", request, body=MY_VM, given=full)
    yield Case("vm-creation/unready", request, body=MY_VM, unready=True)
    failed = givens.operation_fails(errors.ImageNotFound("busybox"))
    yield Case("vm-creation/fails", request, body=MY_VM, given=failed)


def many() -> Iterator[Case]:
    """Yield actions on many VMs at once."""
    request = f"POST {BASE}/actions"
    ids = {"ids": ["db", "web", "nix", "twin", "far", f"vm-{uuid(3)}"]}
    yield Case("vm-many/start", request, body={"action": "start", **ids})
    yield Case("vm-many/go-on", request, body={"action": "stop", **ids}, given=givens.nothing_ends)
    chosen = {"selector": {"status": "running", "host": "h1", "label": ["env=prod"]}}
    yield Case("vm-many/chosen", request, body={"action": "restart", "force": True, **chosen})
    yield Case("vm-many/both", request, body={"action": "pause", **ids, **chosen})
    yield Case("vm-many/none", request, body={"action": "resume", "selector": {}})
    yield Case("vm-many/wrong", request, body={"action": "nix", "ids": [], "x": 1, "force": "no"})
    yield Case("vm-many/nobody", request, body={"action": "delete", "selector": {"search": "nix"}})


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (reads, protection, policies, actions, changes, snapshots, creation, many):
        yield from part()
