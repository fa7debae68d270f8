"""The display of a running study, for `snakemake --logger trustdag`: a live table, or plain lines."""
