"""The commented settings that ``consortia network init`` writes; every setting is here with its default."""

COORDINATOR_TOML = """\
# Settings of the coordinator. Every one can be overridden by an environment variable, for instance
# CONSORTIA_COORDINATOR__LISTEN=0.0.0.0:7443. A key that is not listed here is refused.
# Relative paths start at this file's folder. Lines that begin with "#" and a name show defaults.

# The network's name; it stands in every certificate, so it can't be changed later.
network = "{network}"

# The one port. Everything comes in here, and only under mutual TLS.
listen = "{listen}"

# What members dial, if that is not `listen` (behind a load balancer, or when listening on 0.0.0.0).
#address = "{listen}"

# Where keys, database and logs lie.
#folder = "."

# Where the process log goes (JSON lines). Without it, to standard error.
#log_file = "coordinator.log"

# How long, in days, a member's certificate is valid. Nodes and the coordinator renew theirs by themselves after two
# thirds of that; who was away for the last third has to be invited anew.
#certificate_days = 30

# Where this machine may ask whether the coordinator lives (/livez) and is ready (/readyz), and fetch metrics
# (/metrics). The port has no authentication: only a loopback address is taken, and none is opened unless set.
#monitor_listen = "127.0.0.1:9464"

# How often, in seconds, a node shows that it lives; after three silent turns it counts as gone.
#heartbeat_seconds = 5.0

# Largest task or reply in MiB, all its chunks together.
#max_message_mib = 256

# Most connections at a time, of everybody together. The operating system's limit of open files must be above it.
#max_connections = 2000

# How often a member may call, each second; ten seconds' worth may come at once. Others are told to wait.
#calls_per_second = 100.0

# Most jobs under way, in all and of one analyst.
#max_jobs = 100
#max_jobs_per_analyst = 20

# Most tasks that may wait for one node, which is away or busy. A new job with it is refused until it has caught up.
#max_queue = 10000

# Most memory, in MiB, of the process that reads the ciphertexts of a job with the engine "lattice", and the longest
# time, in seconds, that it may take to add one party's upload. Whose bytes break a limit is lost to the job.
#worker_memory_mib = 4096
#worker_seconds = 3600

# How long, in seconds, nodes may take to accept or refuse a job.
#offer_seconds = 300

# How long, in seconds, nodes may take for one step of a job; includes the time to reconnect.
#step_seconds = 3600

# How long, in seconds, a sum waits for parties that it can do without, once as many as it needs are there.
#dropout_seconds = 300

# Before a result is published, institutions must have cosigned the state of this coordinator's log. Whose
# cosignatures are needed stands in this file, which `consortia coordinator witnesses` writes; until it is there, no
# result is published. "none" publishes without witnesses, and the log says so.
#witnesses = "witness.policy"
# How long, in seconds, a result may wait for them.
#witness_seconds = 30.0
"""
