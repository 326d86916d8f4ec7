"""Human transcripts into the tables of a dataset, one module per source."""
