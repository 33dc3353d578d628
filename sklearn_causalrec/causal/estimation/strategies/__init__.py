"""Ways to estimate an identified effect, a file each."""
