"""What hosts report, and what the gateway asks them for in turn."""
