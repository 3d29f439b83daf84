"""What a trained model becomes: the model file, files of lists, approximate indexes."""

from .ann_index import AnnIndex
from .list_file import write_lists
from .model_file import read_model_file, write_model_file

__all__ = ["AnnIndex", "read_model_file", "write_lists", "write_model_file"]
