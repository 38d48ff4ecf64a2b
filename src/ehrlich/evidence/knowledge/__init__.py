"""Medical knowledge as one graph, whoever says it: builders, linking, paths."""
