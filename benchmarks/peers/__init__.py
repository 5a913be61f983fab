"""Other libraries' ways to the same products, one file a library, each by its own public interface.

None of them is needed here; those that are installed are compared (`pip install -e .[benchmarks]`).
"""
