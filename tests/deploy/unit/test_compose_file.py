"""What docker-compose.yml promises, read from the file alone."""

import re
from typing import Any

import yaml

from tests.support.daemons import ROOT

FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = FILE["services"]
OURS = ("secrets", "gateway", "snapshots", "worker", "sampler")


def by_default(text: str) -> str:
    """Return a line of the file with the defaults of its variables filled in."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def mounts(service: str) -> list[str]:
    return [by_default(line) for line in SERVICES[service].get("volumes", [])]


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [
        by_default(port) for service in SERVICES.values() for port in service.get("ports", [])
    ]

    assert len(published) == 4
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_each_container_is_shown_its_own_secrets_and_cannot_change_them() -> None:
    folders = {
        service: [line for line in mounts(service) if line.startswith("./var/compose")]
        for service in SERVICES
    }

    assert folders.pop("secrets") == ["./var/compose:/secrets"]
    assert folders == {
        "broker": ["./var/compose/broker:/run/secrets:ro"],
        "gateway": ["./var/compose/gateway:/run/secrets:ro"],
        "snapshots": ["./var/compose/snapshots:/run/secrets:ro"],
        "worker": ["./var/compose/host:/run/secrets:ro"],
        "sampler": ["./var/compose/host:/run/secrets:ro"],
        "prometheus": ["./var/compose/prometheus:/run/secrets:ro"],
        "grafana": ["./var/compose/grafana:/run/secrets:ro"],
    }


def test_our_containers_start_with_no_more_rights_than_they_need() -> None:
    rights = {service: SERVICES[service].get("cap_add", []) for service in OURS}

    assert all(SERVICES[service]["cap_drop"] == ["ALL"] for service in OURS)
    assert rights == {
        "secrets": ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
        "gateway": [],
        "snapshots": [],
        "worker": ["SETGID", "SETUID"],
        "sampler": ["SETGID", "SETUID"],
    }


def test_what_a_container_can_take_from_its_machine_has_limits() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"\d+[mg]", by_default(service["mem_limit"])), name
        assert service["pids_limit"] > 0, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    ours = [name for name in OURS if name != "secrets"]  # which ends
    kept = {*SERVICES} - {"secrets"}
    assert all(SERVICES[name]["read_only"] for name in ours)
    assert all(SERVICES[name]["logging"]["options"]["max-size"] for name in kept)


def test_prometheus_keeps_no_more_than_a_number_of_bytes() -> None:
    kept = [by_default(one) for one in SERVICES["prometheus"]["command"] if "retention.size" in one]

    assert kept == ["--storage.tsdb.retention.size=20GB"]


def test_lxds_directory_is_mounted_without_what_is_mounted_below_it() -> None:
    lxd = FILE["volumes"]["lxd"]["driver_opts"]

    assert (lxd["type"], lxd["o"]) == ("none", "bind")
    assert by_default(lxd["device"]) == "/var/lib/lxd"
    assert all("lxd:/run/lxd:ro" in mounts(service) for service in ("worker", "sampler"))
