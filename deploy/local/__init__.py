"""The fleet on one machine: what `make run`, `make demo` and the tests on real daemons stand on."""
