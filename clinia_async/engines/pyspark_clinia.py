"""Found by Spark under the name `clinia`: `df.write.format("clinia")` needs no registration.

Spark imports a top-level module whose name begins with `pyspark_` and takes its class `DefaultSource`. The
wheel installs this file as `pyspark_clinia`.
"""

from clinia_async.engines.on_spark import CliniaDataSource as DefaultSource

__all__ = ["DefaultSource"]
