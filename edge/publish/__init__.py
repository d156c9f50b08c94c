"""From events to subscribers: journal first, then publish, and replay what was missed."""
