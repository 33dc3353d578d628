"""Effects from cross-fitted nuisances: no torch, no graph."""
