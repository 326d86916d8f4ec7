"""Coders that ask a language model: a choice among stated options for every code, with its probability."""
