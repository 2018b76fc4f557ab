"""Keys, entries and the path of a read through memory, validation and the store.

Ring: policy.
"""
