"""What an instance is, to LXD and to the fleet: pure rules, without I/O or a clock of their own."""
