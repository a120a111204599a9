"""Which operating system an instance was made of, in one word: `ubuntu20.04`, `debian12`.

Some image servers name a release by its number, others by its code name; only the number is of use
to whoever compares, so that of the common ones is known here.
"""

from __future__ import annotations

from collections.abc import Mapping

_VERSIONS = {
    "bionic": "18.04",
    "focal": "20.04",
    "jammy": "22.04",
    "noble": "24.04",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
}


def os_of(config: Mapping[str, str]) -> str:
    """Return the image's distribution and version in lower case; empty where it does not say."""
    distribution = config.get("image.os", "").lower().replace(" ", "")
    release = (config.get("image.version") or config.get("image.release", "")).lower()
    return distribution + _VERSIONS.get(release, release) if distribution else ""
