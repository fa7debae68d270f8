"""What a study has still to do, why, and what it will cost: from a dry run of the very same DAG."""
