"""Makes the process green: must run before anything else is imported that uses sockets or threads.

nameko serves each call in an eventlet greenthread. The gateway never imports this module.
"""

from __future__ import annotations

import warnings


def patch() -> None:
    """Replace blocking calls of the standard library by eventlet's."""
    with warnings.catch_warnings():
        # eventlet announces its retirement; docs/weaknesses.md says what that means to us.
        warnings.simplefilter("ignore")
        import eventlet

    eventlet.monkey_patch()
