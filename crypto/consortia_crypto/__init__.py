"""Pure cryptography: identities, envelopes, sealed sums, encrypted scoring, the audit tree. No I/O, no clock."""
