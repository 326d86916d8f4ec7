"""Which random number is used for what: fixed slots, so that floats and arrays draw the same.

A chair's turn has the seed of purpose `turn` (words are found with purpose `text`, see the grammar); a session has,
for each role, the seed of purpose `session` at turn -1. Slots of the session's seed from `effects.SESSION_SLOT` on
belong to the effects.
"""

SESSION = "session"
"""Purpose of the seed that belongs to a role for a whole session."""

# the client's session
PLANNED_LENGTH = 0
FIRST_NOISE = (1, 2, 3)

# the therapist's session
HABIT, HABIT_STRENGTH = 0, 1

# a client's turn; the noise of a state change belongs to the client's turn that follows
HEARING, TALK, CLIENT_WORDS, TELL, SENSITIVE, PERSON, WHICH_PERSON, AGREE, THANK = range(9)
DISTRESS, WARMTH, RISK, ASK, BREAK = range(9, 14)
CLIENT_CODE = 16
"""First of the five slots of the reliance codes, in the order of `codes.CLIENT_CODES`."""

# a therapist's turn
BEHAVIOUR, SUBTYPE, EMOTIONAL, INTERPRETING, EXPLORING, THERAPIST_WORDS, PICK_UP = range(7)
CHECK, BEGIN = 7, 8
THERAPIST_CODE = 16
"""First of the fifteen slots of `codes.THERAPIST_CODES`."""
