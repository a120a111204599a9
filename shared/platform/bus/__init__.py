"""The message bus: topology, RPC of a host's services, events, and flow control of streams."""
