"""The commented settings that ``consortia node init`` writes; every setting is here with its default."""

NODE_TOML = """\
# Settings of this institution's node. Every one can be overridden by an environment variable, for instance
# CONSORTIA_NODE__WORKER_SECONDS=60. A key that is not listed here is refused.
# Relative paths start at this file's folder. Lines that begin with "#" and a name show defaults or examples.

# The institution's name in the network; it stands in the certificate.
institution = "{institution}"

# The network, and where its coordinator listens. Enrolment learns both and keeps them in network.json; set the
# address only if the coordinator is reached by another name or port from here.
#network = "demo"
#coordinator = "127.0.0.1:7443"

# Where keys, database and logs lie.
#folder = "."

# Where the process log goes (JSON lines, no customer data). Without it, to standard error.
#log_file = "node.log"

# Where this machine may ask whether the node lives (/livez) and is ready (/readyz), and fetch metrics (/metrics).
# The port has no authentication: only a loopback address is taken, and none is opened unless set.
#monitor_listen = "127.0.0.1:9465"

# Limits of the worker process that computes for one job: memory in MiB, and seconds for one step.
#worker_memory_mib = 4096
#worker_seconds = 3600

# Largest task or reply in MiB. A coordinator that may send more says so when the node connects, and refuses it.
#max_message_mib = 256

# A job under way of which nothing is asked for so many days is ended here, and its keys and rows are erased.
#abandon_days = 14

# The file with the keys of customers' keys. It must never be in a backup or a snapshot: an erased customer can be
# found again in an older backup of this folder by whoever has this file as it was then. See docs/erasure.md.
#subject_keys = "unbacked/subjects.key"

# Before a sum is opened, a result leaves or a customer is erased, other institutions must have cosigned this log's
# state. Whose cosignatures are needed stands in this file, which `consortia node witnesses` writes; until it is
# there, nothing is released. "none" releases without witnesses, and the log says so.
#witnesses = "witness.policy"
# How long, in seconds, a release may wait for them.
#witness_seconds = 30.0

# Fingerprints of other institutions as their officers told you by another way than the network, a line each:
# INSTITUTION FINGERPRINT. Those of the parties to agreements that you signed need not stand here.
#members = "members.txt"

# What jobs may find here, once an agreement that you signed names it: one table for each dataset. Data stay in
# these files. `subject` is the column with your own customer number: it never leaves the node. A column's type is
# number, category or label; low and high are its publicly known range, needed where features are encrypted. Its
# grade says how sensitive it is, from 1 to 5 after JR/T 0197-2020 (3 unless set); agreements go up to a grade.
#[[datasets]]
#name = "clients"
#path = "data/clients.parquet"
#subject = "customer_id"
#[datasets.columns]
#LIMIT_BAL = {{ type = "number", low = 0, high = 1000000 }}
#EDUCATION = {{ type = "category", grade = 2 }}
#DEFAULT = {{ type = "label" }}
"""
