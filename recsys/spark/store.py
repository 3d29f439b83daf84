"""A folder that all executors see, by any address that pyarrow knows: file, hdfs, s3, gs, abfs."""

from __future__ import annotations

from pyarrow import fs

from recsys.distributed import CheckpointError

_PART = ".part"


class ArrowStore:
    """See `recsys.distributed.Store`.

    Parameters
    ----------
    address : str
        A path, or a URI. It need not exist.
    """

    def __init__(self, address: str) -> None:
        self.system, self.folder = fs.FileSystem.from_uri(_with_slashes(address))

    def names(self) -> list[str]:
        selector = fs.FileSelector(self.folder, allow_not_found=True)
        return [info.base_name for info in self.system.get_file_info(selector)]

    def write(self, name: str, data: bytes) -> None:
        path = f"{self.folder}/{name}"
        try:
            self.system.create_dir(self.folder, recursive=True)
            with self.system.open_output_stream(path + _PART) as stream:
                stream.write(data)
            self.system.move(path + _PART, path)
        except OSError as error:
            raise CheckpointError(
                f"the checkpoint {name} cannot be written to {self.folder}: {error}. Give "
                "checkpointDir a folder that all executors can write to, or set "
                "checkpointInterval=-1"
            ) from error

    def read(self, name: str) -> bytes:
        with self.system.open_input_stream(f"{self.folder}/{name}") as stream:
            return stream.read()

    def remove(self, name: str) -> None:
        path = f"{self.folder}/{name}"
        if self.system.get_file_info(path).type == fs.FileType.File:
            self.system.delete_file(path)

    def clear(self) -> None:
        if self.system.get_file_info(self.folder).type == fs.FileType.Directory:
            self.system.delete_dir(self.folder)


def _with_slashes(address: str) -> str:
    """Hadoop writes file:/folder, pyarrow reads file:///folder."""
    scheme, _, rest = address.partition(":")
    if rest.startswith("/") and not rest.startswith("//"):
        return f"{scheme}://{rest}"
    return address
