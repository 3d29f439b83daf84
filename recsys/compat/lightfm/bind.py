"""Making ``import lightfm`` mean this package."""

from __future__ import annotations

from recsys.compat.binding import bind_package


def bind() -> None:
    """From here on ``import lightfm`` and ``import lightfm.anything`` give this package; what
    LightFM pickled can be loaded then."""
    bind_package("lightfm", __name__.rpartition(".")[0])
