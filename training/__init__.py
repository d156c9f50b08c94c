"""Training in PyTorch: data, augmentation, streaming layers, models, losses, metrics and procedures."""
