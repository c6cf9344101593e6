#!/usr/bin/env bash
# Measures Kuryr in the running lab, beside the `ptp` plugin as the floor, and writes docs/benchmarks.md. `make bench` calls it.
#
#   bench/run.sh RELEASE_DIR PLUGIN_DIR     where the programs are, and where kuryr-cni is
#   FIGURES="plugin sizes" bench/run.sh …   only these, printed and not written: cluster, pools, crowd,
#                                           plugging, services, policies, plugin, cache, index, sizes
#   RESUME=1 bench/run.sh …                 what an earlier run with the same programs and settings took is not taken again
#   STEADY_SECONDS=30 bench/run.sh …        a shorter look at the steady state than five minutes
#   SERVICES=20 bench/run.sh …              fewer Services at once than 200
#   JOINERS=40 bench/run.sh …               fewer pods that become peers of policies at once than 100
set -euo pipefail

cd "$(dirname "$0")/.."
if (($# != 2)); then
    sed -n '2,11s/^# \{0,1\}//p' bench/run.sh >&2
    exit 2
fi
eval "$(lab/lab env)"
read -ra figures <<<"${FIGURES:-}"
# The end-to-end tests take the same lock: neither would be worth anything beside the other.
exec flock "$KURYR_LAB/run/e2e.lock" python3 bench/bench --steady "${STEADY_SECONDS:-300}" --services "${SERVICES:-200}" \
    --joiners "${JOINERS:-100}" ${RESUME:+--resume} "$1" "$2" "${figures[@]}"
