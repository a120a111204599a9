"""What of a guest's words and numbers a sample holds, and what is counted as left out."""

from __future__ import annotations

import math

import pytest

from services.metrics.sampler.sanitize import (
    MOST_BLOCK_DEVICES_BYTES,
    Dropped,
    block_devices,
    count,
    first_of,
    memory,
    seconds,
    word,
)
from shared.contracts.codec import encode
from shared.contracts.samples import Address, BlockDevice, MemoryParts


@pytest.mark.parametrize("number", [None, 0, 1, 2**63 - 1])
def test_a_count_that_fits_is_as_it_was(number: int | None) -> None:
    dropped = Dropped()

    assert count(number, dropped) == number
    assert dropped == {}


@pytest.mark.attack
@pytest.mark.parametrize("number", [-1, 2**63, 2**64 - 4096, 10**400])
def test_a_count_out_of_range_is_unknown(number: int) -> None:
    dropped = Dropped()

    assert count(number, dropped) is None
    assert dropped == {"out_of_range": 1}


@pytest.mark.parametrize("number", [-0.5, math.nan, math.inf, 2.0**63])
def test_a_time_out_of_range_is_unknown(number: float) -> None:
    dropped = Dropped()

    assert seconds(number, dropped) is None
    assert dropped == {"out_of_range": 1}


@pytest.mark.attack
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("eth0", "eth0"),
        ("", ""),
        ("以太网", "以太网"),
        ("a\x1cb", r"a\x1cb"),
        (r"a\x1cb", r"a\\x1cb"),  # another name than that before
        ("a\udcff", r"a\udcff"),  # the byte 0xff, as /proc is read
        ("\u2028", r"\u2028"),
    ],
)
def test_a_name_is_told_so_that_it_can_be_sent_and_no_two_are_the_same(
    text: str, told: str
) -> None:
    assert word(text, 64, Dropped()) == told


@pytest.mark.parametrize("text", ["x" * 65, "\n" * 33, "x" * 100_000])
def test_a_name_that_is_too_long_is_unknown(text: str) -> None:
    dropped = Dropped()

    assert word(text, 64, dropped) is None
    assert dropped == {"too_long": 1}


def test_a_part_of_memory_out_of_range_is_unknown_and_the_others_are_told() -> None:
    dropped = Dropped()

    assert memory(MemoryParts(rss=2**64 - 4096, cached=7), dropped) == MemoryParts(cached=7)
    assert dropped == {"out_of_range": 1}


def address(device: str, number: int = 0) -> Address:
    return Address(device=device, family="inet", address=f"10.0.0.{number}", scope="global")


def not_eth0(one: Address) -> tuple[bool, ...]:
    return (one.device != "eth0",)


def test_items_that_fit_are_all_told_in_their_order() -> None:
    few = [address("docker0"), address("eth0"), address("lo")]
    dropped = Dropped()

    assert first_of(few, 64, 4096, dropped, not_eth0) == tuple(few)
    assert first_of(few * 4, 64, 4096, dropped, not_eth0) == tuple(few * 4)
    assert dropped == {}


def test_of_too_many_those_of_the_lowest_rank_are_told() -> None:
    added = [address("docker0", number) for number in range(100)]
    dropped = Dropped()

    told = first_of([*added, address("eth0")], 10, 4096, dropped, not_eth0)

    assert told == (address("eth0"), *added[:9])
    assert dropped == {"too_many": 91}


@pytest.mark.attack
def test_no_more_is_told_than_there_are_bytes_for() -> None:
    disks = [
        BlockDevice(device=f"{number}" * 20, read_bytes=2**62, written_bytes=2**62)
        for number in range(200)
    ]
    dropped = Dropped()

    told = block_devices(disks, dropped)

    size = sum(len(encode(disk)) + 1 for disk in told)
    assert MOST_BLOCK_DEVICES_BYTES - 200 < size <= MOST_BLOCK_DEVICES_BYTES
    assert dropped == {"too_many": 200 - len(told)}
