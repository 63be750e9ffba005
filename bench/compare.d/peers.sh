# The others: built or found, started for one measurement, stopped after it.

has_go=no has_redis=no has_etcd=no
children=()

# Starts a command in the background, which ends with its shell; stop_child ends the last one so started.
start_child() {
  setpriv --pdeathsig TERM "$@" >"$work/child.log" 2>&1 &
  children+=($!)
}
stop_child() {
  local pid=${children[-1]}
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  unset 'children[-1]'
}

# until COMMAND: tries it for ten seconds.
until_true() {
  local tries
  for ((tries = 0; tries < 500; tries++)); do
    "$@" >/dev/null 2>&1 && return 0
    sleep 0.02
  done
  say "it did not start: $(tail -3 "$work/child.log")"
  return 1
}

warn_of_memory() {
  [ "$(stat -f -c %T "$1")" != tmpfs ] || say "$1 lies in memory, where a sync costs nothing: choose another TMPDIR"
}

build_all() {
  if [ -z "$build" ]; then
    "$root/packaging/install-packages.sh" build bench || say "not all peers could be installed"
    build=$root/build
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$work/build.log"
    cmake --build "$build" >>"$work/build.log" || { tail -20 "$work/build.log" >&2; exit 1; }
  fi
  ! command -v redis-server redis-benchmark >/dev/null || has_redis=yes
  ! command -v etcd >/dev/null || has_etcd=yes
  if go_is_new_enough && (cd "$root/bench/peers" && go build -o "$build/bench/" ./... >"$work/go.log" 2>&1); then
    has_go=yes
  elif [ -s "$work/go.log" ]; then
    say "the Go peers could not be built: $(tail -1 "$work/go.log")"
  fi
  [ $has_redis = yes ] || say "left out: Redis (redis-server and redis-tools are not installed)"
  [ $has_go = yes ] || say "left out: BadgerDB, Stigmer's way, etcd's client (they want Go 1.24 or later)"
  [ $has_etcd = yes ] || say "left out: etcd (etcd-server is not installed)"
}

go_is_new_enough() {
  command -v go >/dev/null || return 1
  local version
  version=$(go env GOVERSION)
  version=${version#go}
  [ "$(printf '%s\n' 1.24 "$version" | sort -V | head -1)" = 1.24 ]
}

raw_sqlite() { "$build/bench/raw_sqlite" "$1" --seconds "$seconds" --keys "$keys" "${@:2}"; }
echo_peer() { "$build/bench/echo" round --seconds "$seconds" "$@"; }
# Nothing takes longer than its loading and its time by as much as that.
most_seconds=600
badger() { timeout $most_seconds "$build/bench/badger" "$1" -seconds "$seconds" -keys "$keys" "${@:2}"; }
stigmer() { timeout $most_seconds "$build/bench/stigmer" "$1" -seconds "$seconds" -keys "$keys" "${@:2}"; }

# redis TEST CONNECTIONS PIPELINE: operations a second on a server of its own that syncs each write before it answers.
redis() {
  local folder socket count rate
  folder=$(mktemp -d "$work/redis-XXXX")
  socket=$folder/socket
  start_child redis-server --port 0 --unixsocket "$socket" --dir "$folder" --save '' --appendonly yes \
    --appendfsync always --auto-aof-rewrite-percentage 0
  until_true redis-cli -s "$socket" ping
  redis_run "$socket" set 16 16 "$keys" >/dev/null # the keys are there
  rate=$(redis_run "$socket" "$1" "$2" "$3" $((1000 * $2)))
  count=$(awk -v rate="$rate" -v seconds="$seconds" 'BEGIN { printf "%d", rate * seconds + 1000 }')
  redis_run "$socket" "$1" "$2" "$3" "$count"
  stop_child
  rm -rf "$folder"
}
redis_run() { # SOCKET TEST CONNECTIONS PIPELINE COUNT
  redis-benchmark -s "$1" -t "$2" -c "$3" -P "$4" -n "$5" -d 256 -r "$keys" --csv 2>/dev/null |
    awk -F'"' 'END { print $4 }'
}

# etcd MODE CONNECTIONS: on a server of its own.
etcd_peer() {
  local folder port=$((20000 + RANDOM % 20000))
  folder=$(mktemp -d "$work/etcd-XXXX")
  start_child etcd --data-dir "$folder" --listen-client-urls "http://127.0.0.1:$port" \
    --advertise-client-urls "http://127.0.0.1:$port" --listen-peer-urls "http://127.0.0.1:$((port + 1))" \
    --initial-advertise-peer-urls "http://127.0.0.1:$((port + 1))" \
    --initial-cluster "default=http://127.0.0.1:$((port + 1))" --log-level error
  until_true env ETCDCTL_API=3 etcdctl --endpoints "http://127.0.0.1:$port" get nothing
  timeout $most_seconds "$build/bench/etcd" "$1" -endpoint "http://127.0.0.1:$port" -seconds "$seconds" -keys "$keys" -threads "$2" |
    field ops_per_s
  stop_child
  rm -rf "$folder"
}

# A service of ours on a file; its endpoint is $endpoint.
start_service() { # FILE
  endpoint=ipc://$(mktemp -d "$work/run-XXXX")/b.sock
  start_child "$build/bin/stigstore" serve --db "$1" --endpoint "$endpoint"
  until_true "$build/bin/stigstore" count none --store "$endpoint" --timeout 1
}
