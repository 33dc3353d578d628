"""From an identified query and data to an estimate: one module a rung of the ladder."""
