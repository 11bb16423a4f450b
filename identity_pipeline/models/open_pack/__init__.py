"""The open pack: openly licensed nets from package registries as one folder of ONNX files."""
