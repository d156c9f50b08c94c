"""What `wheatear` can do where the training extra is installed: one file per command."""
