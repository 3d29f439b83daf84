"""What a trained model becomes: the model file, files of lists, approximate indexes."""

from typing import TYPE_CHECKING, Any

from .list_file import write_lists
from .model_file import digest, read_model_file, write_model_file

if TYPE_CHECKING:
    from .ann_index import AnnIndex
else:

    def __getattr__(name: str) -> Any:
        # Models import this package for their files; most of those who use them want no index.
        if name == "AnnIndex":
            from .ann_index import AnnIndex

            return AnnIndex
        raise AttributeError(f"module 'recsys.serving' has no attribute {name!r}")


__all__ = ["AnnIndex", "digest", "read_model_file", "write_lists", "write_model_file"]
