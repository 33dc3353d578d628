"""Fuzzers of the public surface: calls with inputs of every form, judged."""
