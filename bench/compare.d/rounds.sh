# Rounds of sides in turns, medians and spreads, and what a bar's ratio comes to.
#
# A side is a function BAR_SIDE that prints one number.  Values lie in $work/BAR.SIDE, one a round.

say() { echo "$*" >&2; }

# The number (or true, false) of a name in a line of JSON.
field() { sed -n 's/.*"'"$1"'":\([-0-9.eE+a-z]*\).*/\1/p'; }

# rounds BAR SIDE...: each side once a round, beginning with another one each time.
rounds() {
  local bar=$1 round i side value
  shift
  local sides=("$@") count=$#
  for side in "${sides[@]}"; do : >"$work/$bar.$side"; done
  for ((round = 0; round < rounds; round++)); do
    for ((i = 0; i < count; i++)); do
      side=${sides[(i + round) % count]}
      value=$("${bar}_$side") || { say "$bar: $side failed"; exit 1; }
      [[ $value =~ ^[0-9] ]] || { say "$bar: $side gave no number"; exit 1; }
      say "  round $((round + 1)): $side $value"
      echo "$value" >>"$work/$bar.$side"
    done
  done
  for side in "${sides[@]}"; do
    echo "$bar $side $(spread <"$work/$bar.$side")" >>"$work/values"
  done
}

# Numbers on lines -> median, least, most.
spread() {
  sort -g | awk '{ v[NR] = $1 }
    END { m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; printf "%.6g %.6g %.6g\n", m, v[1], v[NR] }'
}

# judge BAR WHAT EXPRESSION >=|<= NUMBER SIDE...: the expression round by round, with the sides' names in it.
judge() {
  local bar=$1 what=$2 expression=$3 order=$4 limit=$5 side files=() assign= column=1
  shift 5
  for side in "$@"; do
    files+=("$work/$bar.$side")
    assign+="$side=\$$((column++));"
  done
  paste "${files[@]}" | awk "{ $assign print ($expression) }" >"$work/$bar.ratios"
  verdict "$bar" "$what" "$order" "$limit" "$(spread <"$work/$bar.ratios")"
}

# verdict BAR WHAT ORDER LIMIT "MEDIAN LEAST MOST"
verdict() {
  awk -v bar="$1" -v what="$2" -v order="$3" -v limit="$4" -v three="$5" 'BEGIN {
    split(three, v, " ")
    met = order == ">=" ? v[1] >= limit : v[1] <= limit
    printf "%-3s %10.3f  (%.3f to %.3f)  %s %g  %s  %s\n", bar, v[1], v[2], v[3], order, limit, met ? "ok" : "short", what
  }' | tee -a "$work/verdicts" >&2
}

left_out() { # BAR WHAT WHY
  printf '%-3s %10s  left out: %s  %s\n' "$1" - "$3" "$2" | tee -a "$work/verdicts" >&2
}

# ours ARGUMENTS...: one run of `stigstore bench`; fails unless what it acknowledged is there.
ours() {
  local line
  line=$("$build/bin/stigstore" bench --json --seconds "$seconds" --keys "$keys" "$@") || return 1
  [ "$(field verified <<<"$line")" = true ] || return 1
  [ "$(field failed <<<"$line")" = 0 ] || { say "operations failed: $line"; return 1; }
  echo "$line"
}
