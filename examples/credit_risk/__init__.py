"""Three banks, one coordinator, one regulator: a joint credit-risk model on real clients, without pooling them.

``python -m examples.credit_risk.run`` plays the whole story (``make demo`` does just that). The parts: ``data``
fetches the public data set, ``split`` and ``consents`` make three banks out of it, ``agreement`` writes what they
allow each other, ``specs/`` holds the jobs, ``reference`` computes outside the network what they should find.
``chapters`` tells it in order; the longer ones are ``promises``, ``training``, ``attack``, ``scoring``,
``customer`` and ``proof``.
"""
