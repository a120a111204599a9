"""Messages, events, service APIs and errors: everything that services exchange.

Nothing here does I/O. Every other package may import this one; it imports none of them.
"""
