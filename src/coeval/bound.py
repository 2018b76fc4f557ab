"""Cached methods of an instance.

Ring: shell.
"""

from __future__ import annotations

from typing import Any


class BoundMethod:
    """A cached method of an instance, which is the first argument, and part of the key."""

    def __init__(self, cached: Any, instance: Any) -> None:
        self.__self__ = instance
        self.__func__ = cached

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.refresh(self.__self__, *args, **kwargs)

    def peek(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.peek(self.__self__, *args, **kwargs)

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """As of the function."""
        return self.__func__.invalidate(self.__self__, *args, **kwargs)

    def __reduce__(self) -> Any:  # as a method is
        return getattr, (self.__self__, self.__func__.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__func__, name)
