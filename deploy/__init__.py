"""Set up a fleet: on this machine (`local`), in containers, or on hosts of its own."""
