"""Read a host and its instances from the kernel and LXD, compute samples, and publish them.

Pure rules do no I/O; what they need arrives through `ports`. `pyproject.toml` lists them, and which
module may import which.
"""
