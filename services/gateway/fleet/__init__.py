"""The read model of the fleet: the state of hosts and instances, and their views. No I/O."""
