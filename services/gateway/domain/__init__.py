"""Pure rules of the gateway: the fleet view, NAT descriptions, units.

No I/O, no clock of their own.
"""
