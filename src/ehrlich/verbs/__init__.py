"""The verbs of the later stages, for the one door: each loads its folder only when called."""
