"""A case becomes a chart in Markdown, then chat messages: the same in training and in service."""
