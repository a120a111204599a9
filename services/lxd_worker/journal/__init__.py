"""What the worker remembers of every operation, and the SQLite file that keeps it."""
