"""Is the effect identified, and how."""
