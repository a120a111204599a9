"""The four services; none imports another. See docs/architecture.md for the files each one has."""
