"""Snapshot policies: the host's plan, carried out by the host itself."""
