"""The open graph: published vocabularies and facts, read as data from pinned packages and files."""

from ehrlich.evidence.knowledge.open.build import Built
from ehrlich.evidence.knowledge.open.library import OpenConfig, source_list

__all__ = ["Built", "OpenConfig", "source_list"]
