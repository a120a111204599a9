"""What the worker publishes about its host."""
