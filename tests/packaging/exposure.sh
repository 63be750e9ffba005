#!/usr/bin/env bash
# Lets systemd judge the unit's sandbox, without and with the part for tcp: it knows every setting, and the exposure is
# below 2.0; and judges a unit without a sandbox, to see that it would tell.  Usage: exposure.sh SOURCE
set -euo pipefail
source=$1
limit=20 # tenths
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

command -v systemd-analyze >/dev/null || { echo "SKIPPED: systemd-analyze is not installed"; exit 77; }
systemd-analyze security --help 2>/dev/null | grep -q -e --offline || { echo "SKIPPED: systemd-analyze has no --offline"; exit 77; }

exposure() { # NAME -> tenths
  local lines
  lines=$(systemd-analyze security --offline=true --root="$work/$1" --no-pager stigstore.service 2>&1) ||
    { echo "$lines" >&2; return 1; }
  ! grep -E 'stigstore.*:[0-9]+: ' <<<"$lines" >&2 || return 1 # a setting that it does not know
  sed -n 's/.*exposure level for stigstore.service: \([0-9]*\)\.\([0-9]\).*/\1\2/p' <<<"$lines"
}

lay_out() { # NAME: a root with the unit alone
  mkdir -p "$work/$1/etc/systemd/system"
  cp "$source/packaging/stigstore.service" "$work/$1/etc/systemd/system/"
}

judge() { # NAME
  local tenths
  tenths=$(exposure "$1") || fail "systemd does not take the unit ($1)"
  [ -n "$tenths" ] || fail "systemd gave no exposure ($1)"
  echo "$1: exposure $((10#$tenths / 10)).$((10#$tenths % 10))"
  [ "$((10#$tenths))" -lt $limit ]
}

lay_out local
judge local || fail "the unit is too open"

lay_out tcp
mkdir "$work/tcp/etc/systemd/system/stigstore.service.d"
cp "$source/packaging/stigstore-tcp.conf" "$work/tcp/etc/systemd/system/stigstore.service.d/tcp.conf"
judge tcp || fail "the unit with tcp is too open"
! cmp -s <(systemd-analyze security --offline=true --root="$work/local" --no-pager stigstore.service) \
  <(systemd-analyze security --offline=true --root="$work/tcp" --no-pager stigstore.service) ||
  fail "the part for tcp was not read"

lay_out open
sed -i -E '/^(Private|Protect|Restrict|SystemCall|Capability|NoNew|IPAddress)/d' "$work/open/etc/systemd/system/stigstore.service"
if judge open; then fail "a unit without a sandbox passes"; fi

lay_out misspelt
sed -i 's/^PrivateUsers=/PrivateUser=/' "$work/misspelt/etc/systemd/system/stigstore.service"
if exposure misspelt 2>/dev/null; then fail "a setting that systemd does not know passes"; fi

# libzmq ends the broker when it may not do these two.
grep -q '^SystemCallFilter=.*sched_setscheduler' "$source/packaging/stigstore.service" || fail "sched_setscheduler is not allowed"
grep -q '^RestrictAddressFamilies=.*AF_NETLINK' "$source/packaging/stigstore-tcp.conf" || fail "AF_NETLINK is not allowed"
