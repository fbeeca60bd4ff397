"""The analyst's Python API and the one command line, `consortia`."""
