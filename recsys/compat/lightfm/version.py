"""lightfm.version: which version this is the interface of."""

__version__ = "1.17"
