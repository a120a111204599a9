"""Run a fleet on one machine, for `make run`, `make demo` and the tests with real daemons."""
