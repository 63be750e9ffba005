#!/usr/bin/env bash
# The service as containers, for real: build the image, `up`, put and get, kill the writer and a reader, `down`.
# Exit 77 (skipped) only where there is no engine.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"

skip() { echo "skipped: $1"; exit 77; }
command -v docker >/dev/null || skip "no docker command"
docker info >/dev/null 2>&1 || skip "no Docker engine answers"
if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  skip "no Docker Compose"
fi

base=$(sed -n 's/^FROM \([^ ]*\) AS build$/\1/p' Dockerfile)
work=$(mktemp -d)
export COMPOSE_PROJECT_NAME="stigstore-test-$$"
cleanup() {
  "${compose[@]}" down -v --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

if ! docker image inspect "$base" >/dev/null 2>&1 && ! docker pull -q "$base" >/dev/null 2>&1; then
  echo "no registry has $base: making it with debootstrap"
  [ "$(id -u)" -eq 0 ] || skip "$base cannot be pulled, and debootstrap needs root"
  packaging/install-packages.sh image
  debootstrap --variant=minbase bookworm "$work/base" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log"; exit 1; }
  tar -C "$work/base" -c . | docker import - "$base" >/dev/null
  rm -rf "$work/base"
fi

docker build -q -t stigstore:latest . >/dev/null || { docker build -t stigstore:latest .; exit 1; }
"${compose[@]}" up -d --scale reader=2

in_broker() { "${compose[@]}" exec -T broker "$@"; }
container() { "${compose[@]}" ps -q "$1" | head -n 1; }
expect() { # WHAT WANTED GOT
  [ "$2" = "$3" ] || { echo "FAILED: $1: wanted '$2', got '$3'"; "${compose[@]}" logs --no-color | tail -n 40; exit 1; }
  echo "ok: $1"
}
# The command line waits for the service by itself, within its timeout.
stigstore() { in_broker stigstore --timeout 60 "$@"; }

head -c 100000 /dev/urandom >"$work/value"
expect "the first put is revision 1" 1 "$(stigstore put skill one - <"$work/value")"
stigstore get skill one >"$work/back"
expect "it comes back bit for bit" "$(sha256sum <"$work/value")" "$(sha256sum <"$work/back")"
expect "it runs as a user without rights" 10001 "$(in_broker id -u)"

docker kill "$(container writer)" >/dev/null
docker start "$(container writer)" >/dev/null
expect "a put after the writer was killed" 2 "$(stigstore put skill two - <<<"two")"
docker kill "$(container reader)" >/dev/null
expect "a get with one reader dead" two "$(stigstore get skill two)"
docker start "$(container reader)" >/dev/null
expect "both are counted" 2 "$(stigstore count skill)"
docker restart -t 10 "$(container broker)" >/dev/null
expect "a put after the broker restarted" 3 "$(stigstore put skill three - <<<"three")"
for left in $(seq 60 -1 0); do # each actor reports once in two seconds
  if report=$(in_broker stigstore status); then
    echo "ok: status"
    break
  fi
  [ "$left" -gt 0 ] || { echo "FAILED: status"; echo "$report"; exit 1; }
  sleep 0.5
done
"${compose[@]}" down -v
echo "ok: down"
