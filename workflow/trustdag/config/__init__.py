"""The configuration of a study: typed, validated whole before the DAG is built, unknown keys refused."""
