"""The message broker: calls to workers, events of hosts, byte streams."""
