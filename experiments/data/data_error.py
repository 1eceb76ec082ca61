"""What is wrong with data, as opposed to what is wrong with a program."""

__all__ = ["DataError"]


class DataError(ValueError):
    """Data that are missing, damaged, or of no use; the message says where and how."""
