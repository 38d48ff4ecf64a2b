"""Any source of records → one timeline, by dictionaries that are data and one engine."""

from ehrlich.charts.readers.run import ReadConfig, plan_read, read_source

__all__ = ["ReadConfig", "plan_read", "read_source"]
