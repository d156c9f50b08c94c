"""Layers that compute the same function on a whole clip and step by step."""
