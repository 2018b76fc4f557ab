"""The store: the SQLite file and our connections to it, one noun a file.

Ring: shell.
"""
