"""What the fleet costs, measured against a baseline that is named and run beside it."""
