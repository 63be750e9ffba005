# The bars: 256-byte values, 200,000 keys, durability full, unless said.

title_of() {
  case "$1" in
    W1) echo "durable puts through the broker, 1,024 in flight" ;;
    W2) echo "durable puts, 64 synchronous threads over one handle, through the broker" ;;
    W3) echo "one synchronous writer through the broker, p50" ;;
    W4) echo "embedded, 64 threads" ;;
    W5) echo "2 KiB values, 1,024 in flight" ;;
    R1) echo "local reads, one thread, nothing being written" ;;
    R2) echo "local reads while 5,000 puts/s go on" ;;
    R3) echo "through the broker, 1,024 gets in flight, one handle" ;;
    R4) echo "rows/s through the broker by get_many of 64" ;;
    L1) echo "list of 10,000 x 1 KiB through the broker" ;;
    S1) echo "status-storm, 16 workers, documents to 200 KiB" ;;
    G1) echo "growth: put and get, 64 threads, random existing keys" ;;
    M1) echo "memory of 256 handles with values to 256 KiB, and an idle service" ;;
    D1) echo "the cost of exactly-once, of the writer's own work" ;;
    B1) echo "put p99 of others while rows are deleted by prefix" ;;
    T1) echo "serve to first answer on a large store after a clean stop" ;;
  esac
}

# What a side's values are.
unit_of() {
  case "$1" in
    W3 | B1) echo "us" ;;
    R4 | L1) echo "rows/s" ;;
    M1) echo "MiB" ;;
    T1) echo "ms" ;;
    *) echo "operations/s" ;;
  esac
}

W1_ours() { ours put --via broker --in-flight 1024 | field ops_per_s; }
W1_raw() { raw_sqlite put --group 1024 | field ops_per_s; }
W1_unsynced() { raw_sqlite put --group 1024 --unsynced 1 | field ops_per_s; }
W1_redis() { redis set 16 16; }
bar_W1() {
  local sides=(ours raw unsynced)
  [ $has_redis = no ] || sides+=(redis)
  rounds W1 "${sides[@]}"
  judge W1 "of raw SQLite, 1,024 a transaction" ours/raw '>=' 0.85 "${sides[@]}"
  if [ $has_redis = yes ]; then
    judge W1 "of Redis pipelined 16 x 16" ours/redis '>=' 0.85 "${sides[@]}"
  else
    left_out W1 "of Redis pipelined 16 x 16" "no Redis"
  fi
}

W2_ours() { ours put --via broker --threads 64 | field ops_per_s; }
W2_raw() { raw_sqlite put --group 64 | field ops_per_s; }
W2_unsynced() { raw_sqlite put --group 64 --unsynced 1 | field ops_per_s; }
W2_redis() { redis set 64 1; }
W2_etcd() { etcd_peer put 64; }
bar_W2() {
  local sides=(ours raw unsynced)
  [ $has_redis = no ] || sides+=(redis)
  [ "$has_etcd $has_go" != "yes yes" ] || sides+=(etcd)
  rounds W2 "${sides[@]}"
  if [ $has_redis = yes ]; then
    judge W2 "of Redis with 64 connections" ours/redis '>=' 1.5 "${sides[@]}"
  else
    left_out W2 "of Redis with 64 connections" "no Redis"
  fi
}

W3_ours() { ours put --via broker | field p50_us; }
W3_commit() { raw_sqlite put --group 1 | field p50_us; }
W3_echo() { echo_peer --in-flight 1 | field p50_us; }
W3_synced() { echo_peer --in-flight 1 --synced 1 | field p50_us; }
bar_W3() {
  rounds W3 ours commit echo synced
  judge W3 "of raw SQLite's commit and ZeroMQ's round trip" 'ours/(commit+echo)' '<=' 1.5 ours commit echo
}

W4_ours() { ours put --via embedded --threads 64 | field ops_per_s; }
W4_badger() { badger put -threads 64 | field ops_per_s; }
W4_stigmer() { stigmer put -threads 64 | field ops_per_s; }
bar_W4() {
  if [ $has_go = no ]; then
    left_out W4 "of BadgerDB and of Stigmer's way" "no Go 1.24"
    return
  fi
  rounds W4 ours badger stigmer
  judge W4 "of BadgerDB SyncWrites with 64 goroutines" ours/badger '>=' 1.75 ours badger stigmer
  judge W4 "of Stigmer's own way" ours/stigmer '>=' 3 ours badger stigmer
}

W5_ours() { ours put --via broker --in-flight 1024 --value-bytes 2048 | field ops_per_s; }
W5_raw() { raw_sqlite put --group 1024 --value-bytes 2048 | field ops_per_s; }
bar_W5() {
  rounds W5 ours raw
  judge W5 "of raw SQLite, 1,024 a transaction" ours/raw '>=' 0.7 ours raw
}

R1_ours() { ours get --via local | field ops_per_s; }
R1_raw() { raw_sqlite get | field ops_per_s; }
R1_cached() { raw_sqlite get --cached 1 | field ops_per_s; }
R1_badger() { badger get | field ops_per_s; }
R1_redis() { redis get 1 1; }
bar_R1() {
  local sides=(ours raw cached)
  [ $has_go = no ] || sides+=(badger)
  [ $has_redis = no ] || sides+=(redis)
  rounds R1 "${sides[@]}"
  judge R1 "of raw autocommit SELECT" ours/raw '>=' 2.5 "${sides[@]}"
  if [ $has_go = yes ]; then
    judge R1 "of BadgerDB get" ours/badger '>=' 1.5 "${sides[@]}"
  else
    left_out R1 "of BadgerDB get" "no Go 1.24"
  fi
  if [ $has_redis = yes ]; then
    judge R1 "of Redis GET on one connection" ours/redis '>=' 10 "${sides[@]}"
  else
    left_out R1 "of Redis GET on one connection" "no Redis"
  fi
}

# Both read a file that the same service writes to; the keys stand in it already.
R2_ours() { ours get --via local --store "$endpoint" --keep kept | field ops_per_s; }
R2_raw() { raw_sqlite get --db "$work/R2.sqlite" | field ops_per_s; }
bar_R2() {
  start_service "$work/R2.sqlite"
  "$build/bin/stigstore" bench put --store "$endpoint" --keep kept --keys "$keys" --operations 1 >/dev/null
  start_child "$build/bin/stigstore" bench put --store "$endpoint" --keep kept --keys "$keys" --in-flight 256 \
    --rate 5000 --seconds 100000
  rounds R2 ours raw
  stop_child
  stop_child
  judge R2 "of raw autocommit SELECT under the same puts" ours/raw '>=' 0.9 ours raw
}

R3_ours() { ours get --via broker --in-flight 1024 | field ops_per_s; }
R3_echo() { echo_peer --in-flight 1024 --value-bytes 300 | field ops_per_s; }
bar_R3() {
  rounds R3 ours echo
  judge R3 "of ZeroMQ echo through a router" ours/echo '>=' 0.5 ours echo
}

R4_ours() { ours get --via broker --batch 64 --in-flight 16 | field rows_per_s; }
R4_cached() { R1_cached; }
R4_redis() { redis get 16 16; }
bar_R4() {
  if [ $has_redis = no ]; then
    left_out R4 "of Redis GET pipelined 16 x 16" "no Redis"
    return
  fi
  rounds R4 ours cached redis
  judge R4 "of Redis GET pipelined 16 x 16" ours/redis '>=' 1 ours redis
}

L1_ours() { ours list --via broker --keys 10000 --value-bytes 1024 | field rows_per_s; }
L1_raw() { raw_sqlite scan --keys 10000 --value-bytes 1024 | field rows_per_s; }
# The most that the service's actors together, or the client, grew by while a large list went by; MiB.
L1_growth() {
  ours list --via broker --keys "$large_list_keys" --value-bytes 1024 --operations 1 | grown
}
grown() {
  jq -r '[.processes[] | {client: (.name == "bench"), kib: (.peak_kib - .begin_kib)}] |
    [([.[] | select(.client) | .kib] | add), ([.[] | select(.client | not) | .kib] | add)] | max / 1024'
}
bar_L1() {
  rounds L1 ours raw
  judge L1 "of raw SQLite's scan" ours/raw '>=' 0.5 ours raw
  local value
  value=$(L1_growth)
  verdict L1 "MiB by which service or client grew while $((large_list_keys / 1024)) MiB were listed" '<=' 8 \
    "$value $value $value"
}

S1_ours() { seconds=$storm_seconds ours status-storm --keys 64 --via local --threads 16 | field ops_per_s; }
S1_stigmer() { keys=64 seconds=$storm_seconds stigmer storm -threads 16 -value-bytes 204800 | field ops_per_s; }
bar_S1() {
  if [ $has_go = no ]; then
    left_out S1 "of Stigmer's own way" "no Go 1.24"
    return
  fi
  rounds S1 ours stigmer
  judge S1 "of Stigmer's own way, no update lost" ours/stigmer '>=' 2 ours stigmer
}

# One file a size, made once. SQLite alone at the two ends: how much slower a larger file is by itself.
growth_run() { # WORKLOAD KEYS
  local file=$work/G1-$2.sqlite
  [ ! -f "$file" ] || cat "$file" >/dev/null # the bar is about files in the page cache
  ours "$1" --via embedded --threads 64 --keys "$2" --keep kept --store "$file" | field ops_per_s
}
growth_raw() { # WORKLOAD KEYS OPTION...
  keys=$2 raw_sqlite "$1" "${@:3}" | field ops_per_s
}
bar_G1() {
  local count load least=${growth%% *} most=${growth##* }
  for count in $growth; do
    seconds=0.1 growth_run put "$count" >/dev/null
    eval "G1_put_$count() { growth_run put $count; }; G1_get_$count() { growth_run get $count; }"
  done
  for count in "$least" "$most"; do
    eval "G1_raw_put_$count() { growth_raw put $count --group 64; }; G1_raw_get_$count() { growth_raw get $count; }"
  done
  rounds G1 $(for load in put get; do
    for count in $growth; do echo "${load}_$count"; done
    echo "raw_${load}_$least raw_${load}_$most"
  done)
  for load in put get; do
    cp "$work/G1.${load}_$least" "$work/G1.few"
    cp "$work/G1.${load}_$most" "$work/G1.many"
    judge G1 "times slower from $least to $most: $load" few/many '<=' 2 few many
  done
  rm -f "$work"/G1-*.sqlite*
}

# MEMORY of an actor under the worst load, and the processor that idle ones take.
bar_M1() {
  local line name limit peak
  line=$(ours ycsb-a --via broker --threads 256 --handles 256 --value-bytes 262144 --keys "$memory_keys")
  for name in broker:64 writer:128 reader:96; do
    limit=${name#*:} name=${name%:*}
    peak=$(jq -r --arg name "$name" '[.processes[] | select(.name == $name) | .peak_kib] | max / 1024' <<<"$line")
    verdict M1 "MiB of the $name at most" '<=' "$limit" "$peak $peak $peak"
  done
  start_service "$work/M1.sqlite"
  idle_share
  stop_child
}
ticks_of() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
idle_share() {
  local pid most=0 before=() pids=() i share
  pids=($(ps -o pid= --ppid "${children[-1]}") "${children[-1]}")
  sleep 1
  for pid in "${pids[@]}"; do before+=("$(ticks_of "$pid")"); done
  sleep "$idle_seconds"
  for i in "${!pids[@]}"; do
    share=$(awk -v t=$(($(ticks_of "${pids[i]}") - before[i])) -v hz="$(getconf CLK_TCK)" -v s="$idle_seconds" \
      'BEGIN { print 100 * t / hz / s }')
    most=$(awk -v a="$most" -v b="$share" 'BEGIN { print (a > b ? a : b) }')
  done
  verdict M1 "percent of a core by the busiest of an idle service" '<=' 0.1 "$most $most $most"
}

session_cost() { "$build/bench/session_cost" put --seconds "$seconds" --keys "$keys" --group "$1" --sessions "$2" | field ops_per_s; }
D1_one() { session_cost 1024 1; }
D1_none() { session_cost 1024 0; }
D1_one_of_64() { session_cost 64 64; }
D1_none_of_64() { session_cost 64 0; }
bar_D1() {
  local sides=(one none one_of_64 none_of_64)
  rounds D1 "${sides[@]}"
  judge D1 "of the writer's work, one handle, groups of 1,024" '1-one/none' '<=' 0.15 "${sides[@]}"
  judge D1 "of the writer's work, 64 handles, groups of 64" '1-one_of_64/none_of_64' '<=' 0.15 "${sides[@]}"
}

# Both figures are of one run.
bar_B1() {
  local round line
  : >"$work/B1.quiet"
  : >"$work/B1.deleting"
  for ((round = 0; round < rounds; round++)); do
    line=$(ours delete-prefix --via broker --threads 16 --keys "$delete_keys")
    field quiet_p99_us <<<"$line" >>"$work/B1.quiet"
    field p99_us <<<"$line" >>"$work/B1.deleting"
    say "  round $((round + 1)): quiet $(tail -1 "$work/B1.quiet"), deleting $(tail -1 "$work/B1.deleting")"
  done
  local side
  for side in quiet deleting; do echo "B1 $side $(spread <"$work/B1.$side")" >>"$work/values"; done
  judge B1 "times the p99 of a quiet store, $delete_keys rows" deleting/quiet '<=' 10 quiet deleting
}

# Milliseconds; the client's own start is in them.
T1_ours() {
  local begin end
  endpoint=ipc://$(mktemp -d "$work/run-XXXX")/b.sock
  begin=$(date +%s%N)
  start_child "$build/bin/stigstore" serve --db "$work/T1.sqlite" --endpoint "$endpoint"
  until_true "$build/bin/stigstore" stat kept here-000000000000 --store "$endpoint" --timeout 10
  end=$(date +%s%N)
  stop_child
  awk -v ns=$((end - begin)) 'BEGIN { print ns / 1e6 }'
}
bar_T1() {
  "$build/bin/stigstore" bench put --via embedded --store "$work/T1.sqlite" --keep kept --keys "$start_keys" \
    --value-bytes 1024 --operations 1 >/dev/null
  rounds T1 ours
  judge T1 "ms to the first answer on $(du -m "$work/T1.sqlite" | cut -f1) MiB" ours '<=' 200 ours
  rm -f "$work"/T1.sqlite*
}
