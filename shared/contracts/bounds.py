"""What a value in a message may be at the most, so that no host can send one that harms a reader.

A message with a value out of bounds cannot be read at all: it goes to the dead letters, and what
was known of its host stays as it was.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

# What a database, a JSON reader and a float can take as a number.
MOST = 2**63 - 1
MOST_INSTANCES = 10_000
# Interfaces, or disks, of one instance.
MOST_DEVICES = 256

Count = Annotated[int, Meta(ge=0, le=MOST)]
Cores = Annotated[int, Meta(ge=0, le=2**16)]
Seconds = Annotated[float, Meta(ge=0, le=MOST)]
Percent = Annotated[float, Meta(ge=0, le=100)]
# So much in a second, or of one core.
Rate = Annotated[float, Meta(ge=0, le=MOST)]

# LXD's rule, but for the first character: an older LXD was less strict with it.
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,63}\Z")]
# An id, or one of LXD's own words.
Word = Annotated[str, Meta(max_length=255)]
# What people write themselves.
Text = Annotated[str, Meta(max_length=8192)]
Port = Annotated[int, Meta(ge=1, le=65535)]
# RFC 3339 in UTC, so that the order of the texts is that of the times; empty: not yet.
Moment = Annotated[str, Meta(pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z)?\Z")]
