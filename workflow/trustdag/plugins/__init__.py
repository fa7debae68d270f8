"""Plugins, and the discovery of modules by name (see `kinds`)."""
