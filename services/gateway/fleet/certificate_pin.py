"""Whether the daemon behind a host id is the one it always was."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CertificatePin:
    """The pinned certificate of a host. The first one seen is pinned.

    `trusted`: the last certificate heard of was the pinned one. `verified`: the present epoch of
    the worker has shown it; an empty fingerprint (LXD was not reached yet) shows nothing.
    """

    pin: str = ""
    trusted: bool = True
    verified: bool = False

    def knows(self, fingerprint: str) -> bool:
        """Whether a fingerprint may belong to the host."""
        return not fingerprint or not self.pin or fingerprint == self.pin

    def verify(self, fingerprint: str) -> None:
        """Take a fingerprint that may belong to the host."""
        if fingerprint:
            self.pin, self.trusted, self.verified = fingerprint, True, True
