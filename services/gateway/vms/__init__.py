"""Virtual machines and containers: creation, placement, templates, names, updates."""
