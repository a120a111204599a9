"""The cgroup files of containers: where they are, what stands in them, and keeping them open."""
