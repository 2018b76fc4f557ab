"""What must be true for a cached value to be returned: scopes, stamps, validity (laws 1, 2 and 3).

Ring: policy.
"""
