"""Places that keep entries. Memory is the only one here so far; every tier answers the same calls.

Ring: policy.
"""
