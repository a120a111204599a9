"""The process of a service: its start, its background loops, its clean end."""
