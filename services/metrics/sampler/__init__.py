"""Samples of a host and its instances: read from the kernel and LXD, rated, published.

Pure rules know nothing of the outside world; what they need of it comes through `ports`. Which
modules those are, and which may import which, stands in `pyproject.toml`.
"""
