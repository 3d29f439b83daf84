"""What a trained model becomes: the model file, files of lists."""

from .list_file import write_lists
from .model_file import read_model_file, write_model_file

__all__ = ["read_model_file", "write_lists", "write_model_file"]
