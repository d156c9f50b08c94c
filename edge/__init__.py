"""What runs on the device: from samples to published events. Never imports torch, scipy or ``training``."""
