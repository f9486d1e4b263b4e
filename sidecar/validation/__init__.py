"""What is wrong with a value that somebody gave, or with a file of values, in words that a person can use."""

from sidecar.validation.values import InvalidValue, first_invalid, invalid_values

__all__ = ["InvalidValue", "first_invalid", "invalid_values"]
