"""Measure a gateway's process under a whole fleet of simulated hosts, over a real broker."""
