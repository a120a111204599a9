"""The certificate that a host's LXD is pinned to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class CertificatePin:
    """The pinned certificate of a host; the first one reported is pinned.

    `trusted`: the last reported certificate was the pinned one. `verified`: the worker has reported
    it in its present epoch; an empty fingerprint (LXD not reached yet) verifies nothing.
    """

    fingerprint: str = ""
    trusted: bool = True
    verified: bool = False

    def accepts(self, fingerprint: str) -> bool:
        """Whether a fingerprint may belong to the host."""
        return not fingerprint or not self.fingerprint or fingerprint == self.fingerprint

    def verify(self, fingerprint: str) -> None:
        """Record an accepted fingerprint."""
        if fingerprint:
            self.fingerprint, self.trusted, self.verified = fingerprint, True, True
