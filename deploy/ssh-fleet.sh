#!/bin/sh
# A fleet by hand, where ssh is all there is: no root, no shared disk, no open port but 22. Each machine gets the
# binary and a worker that reaches this one through its own ssh connection; what travels there is TLS all the same.
#   [DATA=DIR] [PORT=N] [FAR=N] deploy/ssh-fleet.sh HOST...     PORT is on this machine, FAR on the others
# Run it again after a connection was lost, or for one more machine; what is there already is left as it is.
set -eu
DATA=${DATA:-$HOME/windlass} PORT=${PORT:-7070} FAR=${FAR:-7070}
windlass --quiet --data-dir "$DATA" campaigns >/dev/null 2>&1 || { mkdir -p "$DATA" && setsid -f windlass --data-dir "$DATA" coordinator --listen "127.0.0.1:$PORT" --tls always </dev/null >>"$DATA/coordinator.log" 2>&1; }
until windlass --quiet --data-dir "$DATA" campaigns >/dev/null 2>&1; do sleep 0.2; done
for host in "$@"; do
    ssh "$host" 'mkdir -p windlass-worker && cat >windlass-worker/new && chmod +x windlass-worker/new && mv -f windlass-worker/new windlass-worker/windlass' <"$(command -v windlass)"
    ssh -fN -o ExitOnForwardFailure=yes -o ServerAliveInterval=5 -R "127.0.0.1:$FAR:127.0.0.1:$PORT" "$host" </dev/null >/dev/null 2>&1 || echo "$host: port $FAR is taken there; if by an earlier connection of this script, that is well" >&2
    windlass --data-dir "$DATA" token create --role worker --name "$host" --address "127.0.0.1:$FAR" |
        ssh "$host" 'read -r WINDLASS_JOIN; export WINDLASS_JOIN; setsid -f windlass-worker/windlass worker --work-dir windlass-worker/work </dev/null >>windlass-worker/worker.log 2>&1'
done
windlass --data-dir "$DATA" workers
