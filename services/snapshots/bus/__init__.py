"""The service on the bus: what hosts publish, calls to them, dead letters."""
