"""What a person sees while a study runs: `snakemake --logger trustdag` (a table that changes, or plain lines)."""
