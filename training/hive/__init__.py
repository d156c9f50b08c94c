"""Beehives: blocks of recordings, statistics of their features, generated hives, and figures on real vectors."""
