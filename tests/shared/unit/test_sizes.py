from __future__ import annotations

import pytest

from shared.contracts.sizes import bits, cpu_count, memory_limit, size_in_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024", 1024),
        ("5B", 5),
        ("7 bytes", 7),
        ("2kB", 2000),
        ("2KiB", 2048),
        ("512MB", 512_000_000),
        ("512MiB", 536_870_912),
        ("10GiB", 10 << 30),
        ("3TB", 3 * 10**12),
        ("1PiB", 1 << 50),
        ("1EB", 10**18),
        ("7EiB", 7 << 60),
        ("8EiB", None),
        ("9" * 5000, None),
        ("0", 0),
        ("", None),
        ("GiB", None),
        ("-1", None),
        ("1.5GiB", None),
        ("10 apples", None),
        ("12XB", None),
        ("unlimited", None),
    ],
)
def test_a_size_is_read_as_lxd_reads_it(text: str, size: int | None) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("100", 100),
        ("100bit", 100),
        ("100kbit", 100_000),
        ("20Mbit", 20_000_000),
        ("1Gbit", 10**9),
        ("64Kibit", 65_536),
        ("1Mibit", 1 << 20),
        ("1MB", None),
        ("fast", None),
        ("", None),
    ],
)
def test_a_rate_is_read_as_lxd_reads_it(text: str, number: int | None) -> None:
    assert bits(text) == number


@pytest.mark.parametrize(
    ("text", "limit"),
    [("50%", 500), ("100%", 1000), ("10B", 10), ("", None), ("x%", None), ("9" * 30 + "%", None)],
)
def test_a_memory_limit_may_be_a_share_of_the_host(text: str, limit: int | None) -> None:
    assert memory_limit(text, host_memory=1000) == limit


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2", 2),
        ("0-3", 4),
        ("1,3", 2),
        ("0-2,1-3,3", 4),
        ("1-1", 1),
        ("0-999999999", 10**9),
        ("", None),
        ("all", None),
        ("0-1,x", None),
        ("9" * 5000, None),
        ("0-" + "9" * 5000, None),
    ],
)
def test_cpus_are_a_count_or_a_set_and_what_no_machine_has_is_neither(
    text: str, count: int | None
) -> None:
    assert cpu_count(text) == count
