"""From an identified query and data to an answer: strategies, and what they share."""
