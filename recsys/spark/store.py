"""A folder that all executors see, by any address that pyarrow knows: file, hdfs, s3, gs, abfs."""

from __future__ import annotations

from functools import cached_property

from pyarrow import fs

from recsys.distributed import CheckpointError

_PART = ".part"
_HADOOP = ("hdfs", "viewfs")
_SCHEMES = ("file", *_HADOOP, "s3", "s3a", "gs", "gcs", "abfs", "abfss")  # not all that there are
_LONGEST_REASON = 200  # characters: pyarrow names every file it looked for
_REMEDY = (
    "Give checkpointDir a folder that all executors can write to, or set checkpointInterval=-1"
)


def check_address(address: str) -> None:
    """Raise ValueError for an address that is of no kind that pyarrow knows.

    It connects to nothing: a driver may not see what the executors do.
    """
    full = _for_pyarrow(address)
    if full.startswith("/") or full.partition("://")[0] in _SCHEMES:
        return
    try:
        fs.FileSystem.from_uri(full)
    except ValueError as error:
        scheme, _, rest = address.partition(":")
        mounted = f"/dbfs/{rest.lstrip('/')}"
        hint = f"; did you mean {mounted!r}?" if scheme == "dbfs" else ""
        raise ValueError(
            f"checkpoints cannot be written to {address!r}, which is neither an absolute path nor "
            f"a URI that pyarrow knows ({', '.join(each + '://' for each in _SCHEMES)}){hint}. "
            f"{_REMEDY}"
        ) from error


class ArrowStore:
    """See `recsys.distributed.Store`.

    Parameters
    ----------
    address : str
        A path, or a URI. It need not exist, and is not looked at before it is used.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    @cached_property
    def _found(self) -> tuple[fs.FileSystem, str]:
        return fs.FileSystem.from_uri(_for_pyarrow(self.address))

    @property
    def system(self) -> fs.FileSystem:
        return self._found[0]

    @property
    def folder(self) -> str:
        return self._found[1]

    def check(self, name: str) -> None:
        try:
            self.write(name, b"")
            self.remove(name)
        except (OSError, ValueError) as error:
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(
                f"checkpoints cannot be written to {self.address}: {self._why(error)}. {_REMEDY}"
            ) from error

    def _why(self, error: Exception) -> str:
        reason = brief(error)
        if self.address.partition(":")[0] not in _HADOOP or "_found" in vars(self):
            return reason
        return (
            f"{reason.rstrip('.')}. Executors need Hadoop's native libhdfs for it, and JAVA_HOME, "
            "CLASSPATH and HADOOP_HOME or ARROW_LIBHDFS_DIR set"
        )

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
                f"the checkpoint {name} cannot be written to {self.address}: {self._why(error)}. "
                f"{_REMEDY}"
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


def brief(error: Exception) -> str:
    """The beginning of its first line."""
    line = str(error).strip().partition("\n")[0]
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def _for_pyarrow(address: str) -> str:
    """Hadoop writes file:/folder and s3a://bucket, pyarrow file:///folder and s3://bucket."""
    scheme, _, rest = address.partition(":")
    if rest.startswith("/") and not rest.startswith("//"):
        rest = f"//{rest}"
    return f"{'s3' if scheme == 's3a' else scheme}:{rest}" if rest else address
