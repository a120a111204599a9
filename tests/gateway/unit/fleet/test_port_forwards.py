from __future__ import annotations

import pytest

from services.gateway.fleet.port_forwards import Nat, description, foreign_note_name, nat
from shared.contracts.instances import Proxy
from tests.support.builders import a_documented_instance


def proxy(listen: str, connect: str, **options: str) -> Proxy:
    return Proxy(device=listen, listen=listen, connect=connect, options=options)


def proxied(*pairs: tuple[str, str]) -> Nat:
    return nat(a_documented_instance(description="", proxies=tuple(proxy(*pair) for pair in pairs)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test1 20001 secret 30000 30025", Nat(20001, "30000-30025", "secret")),
        ("test1 20001 secret 30000 30000", Nat(20001, "30000", "secret")),
        ("  test1  20001 secret ", Nat(20001, None, "secret")),
        ("test1 20001 秘密 30000 30025", Nat(20001, "30000-30025", "秘密")),
        ("test1 20001 - 30000 30025", Nat(20001, "30000-30025", None)),
        ("test1 20001 -", Nat(20001, None, None)),
    ],
)
def test_a_description_that_a_nat_script_wrote_is_read(text: str, expected: Nat) -> None:
    assert nat(a_documented_instance(description=text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "test1",
        "test1 20001",
        "test2 20001 secret",
        "Debian 12 bookworm",
        "Test1 20001 secret",
        "test1 ssh secret",
        "test1 0 secret",
        "test1 65536 secret",
        "test1 020001 secret",
        "test1 -1 secret",
        "test1 2e4 secret",
        "test1 ２２ secret",
        "test1 20001 secret 30000",
        "test1 20001 secret 30025 30000",
        "test1 20001 secret 30000 99999",
        "test1 20001 secret ports open",
        "test1 20001 secret 30000 30025 more",
        "test1 is a web server",
        "test1 serves the shop today",
        "our test1 20001",
    ],
)
def test_a_description_that_only_looks_alike_is_left_alone(text: str) -> None:
    instance = a_documented_instance(description=text)

    assert nat(instance) == Nat()


def test_a_whole_note_is_believed_under_an_older_name_unless_it_is_anothers() -> None:
    instance = a_documented_instance(description="old 20144 S3cretPw 30100 30125")

    assert nat(instance) == Nat(20144, "30100-30125", "S3cretPw")
    assert nat(instance, foreign_note=True) == Nat()
    assert (foreign_note_name(instance), foreign_note_name(a_documented_instance())) == ("old", "")


def test_the_description_may_stand_in_the_user_keys() -> None:
    instance = a_documented_instance(description="", user={"description": "test1 20001 secret"})

    assert nat(instance) == Nat(20001, None, "secret")
    assert description(instance) == "test1 20001 secret"


def test_a_users_description_is_read_when_lxds_is_free_text() -> None:
    instance = a_documented_instance(
        description="the shop", user={"description": "test1 20001 secret"}
    )

    assert nat(instance).ssh_port == 20001
    assert description(instance) == "the shop"


@pytest.mark.parametrize(
    ("listen", "connect", "expected"),
    [
        ("tcp:0.0.0.0:20001", "tcp:127.0.0.1:22", Nat(ssh_port=20001)),
        ("tcp:[::]:20001", "tcp:[::1]:22", Nat(ssh_port=20001)),
        ("tcp:0.0.0.0:30000-30025", "tcp:127.0.0.1:30000-30025", Nat(nat_ports="30000-30025")),
        ("udp:0.0.0.0:30000-30025", "udp:127.0.0.1:30000-30025", Nat(nat_ports="30000-30025")),
        ("tcp:0.0.0.0:20020-20030", "tcp:127.0.0.1:20-30", Nat(20022, "20020-20030")),
        ("tcp:0.0.0.0:80,20001", "tcp:127.0.0.1:80,22", Nat(20001, "80,20001")),
        ("tcp:0.0.0.0:8080", "tcp:127.0.0.1:80", Nat()),
        ("udp:0.0.0.0:20001", "udp:127.0.0.1:22", Nat()),
        ("unix:/run/web.sock", "tcp:127.0.0.1:22", Nat()),
        ("tcp:0.0.0.0:20001", "unix:/run/sshd.sock", Nat()),
        ("", "", Nat()),
    ],
)
def test_a_proxy_device_shows_what_it_forwards(listen: str, connect: str, expected: Nat) -> None:
    assert proxied((listen, connect)) == expected


def test_several_proxied_ports_are_joined_to_ranges() -> None:
    ports = [30002, 443, 30000, 30001]

    found = proxied(
        ("tcp:0.0.0.0:20001", "tcp:127.0.0.1:22"),
        *((f"tcp:0.0.0.0:{port}", f"tcp:127.0.0.1:{port}") for port in ports),
    )

    assert found == Nat(20001, "443,30000-30002", None)


def test_the_same_ports_for_tcp_and_udp_are_named_once() -> None:
    found = proxied(
        ("tcp:0.0.0.0:30000-30025", "tcp:127.0.0.1:30000-30025"),
        ("udp:0.0.0.0:30000-30025", "udp:127.0.0.1:30000-30025"),
    )

    assert found.nat_ports == "30000-30025"


def test_keys_go_before_proxies_and_proxies_before_the_description() -> None:
    instance = a_documented_instance(
        description="test1 20001 secret 30000 30025",
        user={"ssh_port": "20009"},
        proxies=(
            proxy("tcp:0.0.0.0:20005", "tcp:127.0.0.1:22"),
            proxy("tcp:0.0.0.0:31000-31009", "tcp:127.0.0.1:31000-31009"),
        ),
    )

    assert nat(instance) == Nat(20009, "31000-31009", "secret")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (
            {"ssh_port": "20001", "nat_ports": "30000-30025", "root_password": "a b"},
            Nat(20001, "30000-30025", "a b"),
        ),
        ({"nat_ports": " 30000-30025, 40000 "}, Nat(nat_ports="30000-30025,40000")),
        ({"ssh_port": "ssh", "nat_ports": "all", "root_password": ""}, Nat()),
        ({"ssh_port": "70000", "nat_ports": "30025-30000"}, Nat()),
    ],
)
def test_the_operators_keys_are_taken_where_they_are_plausible(
    user: dict[str, str], expected: Nat
) -> None:
    assert nat(a_documented_instance(description="", user=user)) == expected


@pytest.mark.parametrize(
    "elsewhere",
    [
        proxy("tcp:0.0.0.0:20001", "tcp:127.0.0.1:22", bind="instance"),
        proxy("tcp:0.0.0.0:20001", "tcp:127.0.0.1:22", bind="container"),
        proxy("tcp:127.0.0.1:20001", "tcp:127.0.0.1:22"),
        proxy("tcp:127.8.0.1:20001", "tcp:127.0.0.1:22"),
        proxy("tcp:[::1]:20001", "tcp:[::1]:22"),
        proxy("tcp:localhost:20001", "tcp:127.0.0.1:22"),
        proxy("tcp:0.0.0.0:20001", "tcp:127.0.0.1:22", proxy_protocol="true"),
    ],
)
def test_a_proxy_that_no_customer_reaches_ssh_by_is_not_told_as_ssh(elsewhere: Proxy) -> None:
    assert nat(a_documented_instance(description="", proxies=(elsewhere,))) == Nat()


def test_a_proxy_that_the_host_nats_is_reached_like_any_other() -> None:
    natted = proxy("tcp:203.0.113.5:20001", "tcp:0.0.0.0:22", nat="true", bind="host")

    assert nat(a_documented_instance(description="", proxies=(natted,))) == Nat(ssh_port=20001)


def test_a_range_that_leads_to_one_port_is_a_range_of_the_host() -> None:
    assert proxied(("tcp:0.0.0.0:30000-30009", "tcp:127.0.0.1:80")) == Nat(nat_ports="30000-30009")


def test_a_pool_on_the_hosts_own_address_is_where_its_operator_wants_it() -> None:
    ours = Proxy(device="ssh", listen="tcp:127.0.0.1:20001", connect="tcp:127.0.0.1:22")

    assert nat(a_documented_instance(description="", proxies=(ours,))) == Nat(ssh_port=20001)
