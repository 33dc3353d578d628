"""What would overturn an estimate: diagnostics, refuters, sensitivity."""
