"""The server: routes, batches, replacement of the model, the log of decisions."""
