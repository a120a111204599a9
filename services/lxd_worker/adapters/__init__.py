"""The outside world as the worker's ports describe it."""
