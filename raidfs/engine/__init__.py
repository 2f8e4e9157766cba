"""Bytes of the array: plan, read, decode, and say what every byte is worth."""
