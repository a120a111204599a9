"""Fixtures for all rungs; those on real daemons start them only when a test asks."""

pytest_plugins = [
    "shared.testing.attacks",
    "shared.testing.broker",
    "shared.testing.browser",
    "shared.testing.left_out",
    "shared.testing.lxd",
    "shared.testing.lxd_project",
    "shared.testing.postgresql",
    "shared.testing.prometheus",
    "shared.testing.fleet",  # after those it stands on: pytest has to rewrite them first
]
