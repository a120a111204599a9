"""Patch the standard library for eventlet, before any import that uses sockets or threads.

nameko serves each call in an eventlet greenthread. The gateway never imports this module.
"""

from __future__ import annotations

import warnings


def patch() -> None:
    """Replace the standard library's blocking calls with eventlet's."""
    with warnings.catch_warnings():
        # eventlet announces its retirement; docs/weaknesses.md has the consequences.
        warnings.simplefilter("ignore")
        import eventlet

    eventlet.monkey_patch()
