"""The records of a Scene: one module per group of tables, each a function from Scene to frames."""
