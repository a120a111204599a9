"""Snapshot policies: changing them, running them now, and what they would do."""
