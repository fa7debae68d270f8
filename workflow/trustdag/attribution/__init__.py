"""Influence attribution: how much each training pair of a stage moved a vertical's number (see docs/attribution.md)."""
