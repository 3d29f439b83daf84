"""What a trained model becomes: the model file."""

from .model_file import read_model_file, write_model_file

__all__ = ["read_model_file", "write_model_file"]
