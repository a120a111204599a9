"""Cgroup files of containers: find them, keep them open, parse them."""
