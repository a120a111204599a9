"""The policies of the fleet: what may be asked for, and who asked first."""
