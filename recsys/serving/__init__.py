"""What a trained model becomes: the model file, files of lists, approximate indexes."""

from recsys.models.files import digest, read_model_file, write_lists, write_model_file

from .ann_index import AnnIndex

__all__ = ["AnnIndex", "digest", "read_model_file", "write_lists", "write_model_file"]
