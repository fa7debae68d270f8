"""The toy world: an invented little world that the whole study runs on in minutes, with answers that are known.

`prose` is what a base model reads, `pairs` are the preferences of a judge whose weights are known, `benchmarks` are the
questions of the five verticals, about people, groups, creatures and deeds that no pair mentions.
"""
