"""LXD (or Incus) on its unix socket, by pylxd; the only place where pylxd's errors exist."""
