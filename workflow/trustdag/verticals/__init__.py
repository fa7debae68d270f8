"""One file a trustworthiness vertical. A new file here is a new vertical (see docs/architecture.md)."""
