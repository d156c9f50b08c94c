"""How sound becomes features: one spec, one kernel, the same numbers in training, export and on the device."""
