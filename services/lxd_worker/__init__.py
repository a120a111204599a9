"""Carries out operations on one host; the only code that speaks to LXD to change it."""
