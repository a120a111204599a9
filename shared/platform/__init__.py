"""Infrastructure of all services: settings, logs, telemetry, the bus, the process."""
