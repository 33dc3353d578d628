"""Torch networks, their objectives, and the skorch net that trains them."""
