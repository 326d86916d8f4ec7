"""Sending a run to a cluster: settings, templates, submissions, and what the cluster says of its jobs."""
