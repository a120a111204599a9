"""The fleet in containers; see docs/operations/docker.md."""
