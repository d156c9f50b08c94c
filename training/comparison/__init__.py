"""Recipes against each other: the same recordings, the same labels, the same minutes."""
