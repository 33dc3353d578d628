"""Oracles shared by tests and benchmarks."""
