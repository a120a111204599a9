"""The history of the journal's tables, run by the worker itself when it starts."""
