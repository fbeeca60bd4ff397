"""The audit log's pure half: which events there are, how an entry is made and checked, the Merkle tree."""
