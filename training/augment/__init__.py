"""Transforms of training sounds and features: one file each, pure functions of their input and a random generator."""
