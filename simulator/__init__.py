"""Dyad: simulated courses of therapy, measured.

Importing this package does nothing but define names: no files, threads or network.
"""

__version__ = "0.1.0"
