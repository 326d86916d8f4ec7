"""Model servers: starting and watching vLLM replicas, and a mock server for tests and benchmarks.

Nothing here stands between the harness and vLLM: replicas are processes, and a file says where they listen.
"""
