"""The words of the reference scripted dyad: plans in, text out.

`realise_client` and `realise_therapist` find words for what the dynamics have decided. They are pure: the same
arguments give the same text. A text realises its plan and nothing beyond it, so that planted codes are the truth about
it: a "?" of the therapist stands in planted questions and in turns planned to close with a check, nowhere else; a
disclosure holds the persona's own clause word for word; a code of the dependence set has phrases of its own. The
number of words follows the plan within about a quarter, unless what must be said is longer. Phrases are data
(`phrases/*.yaml`) and are read at first use.
"""

from simulator.agents.scripted.grammar_client import realise_client
from simulator.agents.scripted.grammar_therapist import ClientView, realise_therapist, said_back

__all__ = ["ClientView", "realise_client", "realise_therapist", "said_back"]
