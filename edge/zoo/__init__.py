"""The models that ship: a folder each, model files and ``card.toml``."""
