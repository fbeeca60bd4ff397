"""The commented files that ``consortia node init`` writes; every setting is here with its default."""

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

# Most tasks that may wait here for their turn. A coordinator that sends more is hung up on until there are fewer.
#max_queue = 10000

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
# INSTITUTION FINGERPRINT; `consortia node confirm` writes them. Those of the parties to agreements that you signed
# need not stand here.
#members = "members.txt"

# The file that describes the tables that jobs may read here; `consortia dataset add` drafts its entries.
#datasets_file = "datasets.toml"
"""

DATASETS_TOML = """\
# What jobs may find here, once an agreement that you signed names it: one [[datasets]] for each table. The rows
# stay where they are. `consortia dataset add` drafts an entry, `consortia dataset check` holds the entries against
# the tables, docs/datasets.md explains every key. The catalogue that analysts see has names, types, meanings,
# ranges and categories from here, and the number of rows in bands; never a value of a row.

#[[datasets]]
#name = "clients"
#meaning = "one row for each holder of a credit card"
#path = "data/clients.parquet"            # a CSV, Parquet or DuckDB file, or a folder of Parquet files; or instead:
##postgresql = "postgresql:///bank"       # without a password, which belongs in ~/.pgpass
##table = "risk.clients"                  # in a DuckDB file or PostgreSQL; named like the dataset unless set
#one_row_each = true                      # no customer has two rows
#[datasets.columns]
#customer_id = { type = "text", role = "id" }   # your own customer number: it never leaves the node
#limit_bal = { type = "number", unit = "CNY", meaning = "credit limit", low = 0, high = 1000000 }
#cards = { type = "integer", meaning = "number of cards" }
#education = { type = "category", values = [1, 2, 3, 4], grade = 2 }
#opened = { type = "date", role = "time", meaning = "when the account was opened" }
#defaulted = { type = "boolean", role = "label", meaning = "whether a bill was left unpaid" }
"""
