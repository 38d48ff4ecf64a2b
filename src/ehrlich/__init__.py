"""ehrlich: electronic health records into language models that reason, measured honestly."""

__version__ = "0.1.0"
