from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.local.nonblocking_output import Output


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose writing end says that it is full instead of waiting."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    yield reading, writing
    os.close(reading)
    # The writing end stays: what still waits for it must not go to another file of that number.


def test_lines_are_written_in_order(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = Output(writing)

    print("one\ntwo", file=output)
    print("three", end="", file=output)
    output.drain(5)

    assert os.read(reading, 100) == b"one\ntwo\nthree"


def test_what_cannot_be_written_is_counted_and_said_once(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    filled = os.write(writing, b"x" * 10_000_000)
    output = Output(writing)

    for _ in range(3):
        print("lost", file=output)
    output.drain(5)
    while filled:
        filled -= len(os.read(reading, filled))
    print("again", file=output)
    print("more", file=output)
    output.drain(5)

    said = os.read(reading, 1000).decode().split()
    assert " ".join(said) == "(3 lines could not be written here) again more"


@pytest.mark.attack
def test_a_full_device_is_no_error() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    output = Output(descriptor)

    written = output.write("lost\n")
    output.flush()
    output.drain(5)

    assert written == len("lost\n")
    os.close(descriptor)


@pytest.mark.attack
def test_nobody_waits_for_a_descriptor_that_takes_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, True)
    output = Output(writing, max_waiting=200_000)

    for _ in range(100):
        print("x" * 9_999, file=output)
    output.drain(0.1)
    read = b""
    while b"could not be written" not in read:
        read += os.read(reading, 65_536)
        print("again", file=output)

    dropped = int(read.split(b"(")[1].split()[0])
    # 20 lines may wait, and the pipe itself holds six or seven.
    assert 73 <= dropped <= 80


def test_text_that_is_no_unicode_is_written_all_the_same(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    output = Output(writing)

    print("\udcff", file=output)
    output.drain(5)

    assert os.read(reading, 100) == b"\\udcff\n"
