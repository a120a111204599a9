"""Translates HTTP and WebSocket calls into orders to workers, and serves the fleet view."""
