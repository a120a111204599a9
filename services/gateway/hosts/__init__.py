"""Handling of the hosts' events, and the requests that they call for."""
