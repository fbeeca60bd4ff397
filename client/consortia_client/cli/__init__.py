"""The one command line, ``consortia``: one module for each noun."""
