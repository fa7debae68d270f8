"""Parts of a study that come from elsewhere, and the one place where modules are found by name (see `kinds`)."""
