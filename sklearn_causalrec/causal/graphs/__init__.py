"""The graph itself: an ADMG, its bitsets, its notation and drawing."""
