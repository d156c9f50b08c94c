"""The sound around: frequency-weighted levels, and how long each class is heard over the rest."""
