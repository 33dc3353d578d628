"""Fuzzers of the public surface: calls with inputs of every form, and what they find."""
