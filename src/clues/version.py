"""The package's version; raised whenever scores change, so that cached work of another version is recomputed."""

__version__ = "0.8.0"
