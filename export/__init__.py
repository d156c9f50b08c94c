"""From a run of training to a model folder: ONNX and TFLite, float and int8, parity checks, the card."""
