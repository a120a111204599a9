"""The rules of snapshot policies: when one is due, what it selects, what it keeps and why.

All of them are pure, and shared: the snapshots service checks policies and compiles plans by them,
the worker acts by them, and a simulation asks the very same functions.
"""
