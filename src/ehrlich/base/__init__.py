"""The ground: contracts, errors, configuration, files, processes. Imports no other folder."""
