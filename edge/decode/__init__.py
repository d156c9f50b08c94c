"""From scores to events: the one decoder, for live sound and for files. All rules are in seconds of audio."""
