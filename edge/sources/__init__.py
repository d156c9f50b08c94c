"""Sources of sound: microphone, sound file, standard input, network stream, and a fake for tests."""
