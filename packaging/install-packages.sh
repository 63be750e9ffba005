#!/usr/bin/env bash
# Installs what is missing from Debian's packages, and says what.  Usage: install-packages.sh build|test|sanitize|static|fault|coverage|image|run|bench ...
set -euo pipefail

build="gcc libc6-dev cmake ninja-build pkg-config libzmq3-dev libczmq-dev libsqlite3-dev libprotobuf-c-dev
       protobuf-c-compiler protobuf-compiler libjansson-dev libmd-dev libsodium-dev"
tests="libcmocka-dev g++ sqlite3 procps"
sanitize="clang libclang-rt-14-dev llvm"
static="gcc clang clang-tidy cppcheck"
fault="valgrind clang libclang-rt-14-dev llvm"
coverage="gcovr python3"
bench="redis-server redis-tools etcd-server etcd-client gnuplot-nox jq procps"
run="libzmq5 libczmq4 libsqlite3-0 libprotobuf-c1 libjansson4 libsodium23 protobuf-compiler"

image="debootstrap"

wanted=()
for group in "$@"; do
  case "$group" in
    build) wanted+=($build) ;;
    test) wanted+=($tests) ;;
    sanitize) wanted+=($sanitize) ;;
    static) wanted+=($static) ;;
    fault) wanted+=($fault) ;;
    coverage) wanted+=($coverage) ;;
    run) wanted+=($run) ;;
    image) wanted+=($image) ;;
    bench) wanted+=($bench) ;;
    *) echo "usage: $0 build|test|sanitize|static|fault|coverage|image|run|bench ..." >&2; exit 2 ;;
  esac
done

missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "these packages are missing, and neither root nor sudo is at hand: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "installing from Debian's packages: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
