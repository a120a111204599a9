"""What the worker does, one function or class for each message and duty."""
