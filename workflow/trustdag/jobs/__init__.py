"""What jobs ask of a cluster, how they are started and watched there, and what they leave on record."""
