"""What every room uses: unwrapping of pipelines, progress, tables."""
