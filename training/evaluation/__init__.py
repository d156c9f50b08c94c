"""Measuring networks and model folders on recordings that they never learnt from."""
