"""The pending jobs of a study, with reasons and costs, from a dry run of the same DAG."""
