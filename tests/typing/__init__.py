"""The types of the public API, for mypy and pyright to check. Nothing here runs."""
