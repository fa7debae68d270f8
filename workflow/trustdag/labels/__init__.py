"""Replies for a person to read, whose labels correct what parsers and scorers read: drawn, and asked for."""
