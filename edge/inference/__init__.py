"""From feature frames to scores: model cards, inference runtimes, streaming and windowed scoring."""
