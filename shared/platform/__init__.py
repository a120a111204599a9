"""What every service stands on: settings, logs, the bus and its topology."""
