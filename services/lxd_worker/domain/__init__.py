"""Pure rules of the worker: steps, evidence, the journal's record, what LXD's words mean.

No I/O, no clock of their own.
"""
