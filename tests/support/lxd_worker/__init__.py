"""Fakes of what the worker's handlers need, and a bench to try them on."""
