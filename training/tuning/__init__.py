"""Decision rules chosen by validation recordings: thresholds and median widths per class."""
