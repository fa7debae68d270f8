"""The toy world: a small invented world with known answers, on which a whole study runs in minutes.

`prose` is the corpus of a base model. `pairs` are the preferences of a judge with known weights. `benchmarks` are the
questions of the five verticals, about people, groups, creatures and deeds that no pair mentions.
"""
