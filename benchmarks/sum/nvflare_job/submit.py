"""Run by NVFlare's own interpreter as ``submit.py ADMIN JOB CLIENTS SECONDS``.

Waits for the clients, hands in the job, and waits for its end.
"""

import sys
import time

from nvflare.fuel.flare_api.flare_api import new_secure_session

if __name__ == "__main__":
    admin, job, clients, seconds = sys.argv[1:]
    session = new_secure_session("admin@nvidia.com", admin, timeout=float(seconds))
    while len(session.get_system_info().client_info) < int(clients):
        time.sleep(1)
    job_id = session.submit_job(job)
    session.monitor_job(job_id, timeout=float(seconds))
    status = session.get_job_meta(job_id).get("status")
    session.close()
    if status != "FINISHED:COMPLETED":
        sys.exit(f"NVFlare's job ended as {status}")
