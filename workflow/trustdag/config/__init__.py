"""The configuration of a study. It is typed and validated before the DAG is built; unknown keys are refused."""
