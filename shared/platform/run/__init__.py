"""How a service's process runs: from its start through its loops to a clean end."""
