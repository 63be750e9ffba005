# The page's tables and plots, from one run.

describe_machine() {
  echo "$(date -u +%Y-%m-%d), $(nproc) cores of $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)," \
    "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), $(stat -f -c %T "$work")," \
    "Linux $(uname -r), $rounds rounds of $seconds s$([ $quick = no ] || echo ", quick")."
}

tables() {
  local bar side rest
  cat "$work/machine"
  printf '\n| bar | ratio | median | spread | bar is | |\n|---|---|---|---|---|---|\n'
  sed -E 's/^([A-Z0-9]+) +([-0-9.]+)  \(([^)]*)\)  ([<>=]+ [0-9.e+]+)  (ok|short)  (.*)$/| \1 | \6 | \2 | \3 | \4 | \5 |/;
    s/^([A-Z0-9]+) +-  left out: (.*)  (.*)$/| \1 | \3 | | | | left out: \2 |/' "$work/verdicts"
  for bar in $only; do
    grep -q "^$bar " "$work/values" || continue
    printf '\n### %s: %s\n\n' "$bar" "$(title_of "$bar")"
    printf '| side | median, %s | spread |\n|---|---|---|\n' "$(unit_of "$bar")"
    awk -v bar="$bar" '$1 == bar { printf "| %s | %.6g | %.6g to %.6g |\n", $2, $3, $4, $5 }' "$work/values"
    printf '\n![%s](performance/%s.svg)\n' "$(title_of "$bar")" "$bar"
  done
}

plot() { # BAR
  awk -v bar="$1" '$1 == bar { gsub(/_/, " ", $2); printf "\"%s\" %s %s %s\n", $2, $3, $4, $5 }' "$work/values" \
    >"$work/$1.plot"
  gnuplot <<EOF
set terminal svg size 720,420 background '#ffffff'
set output '$root/docs/performance/$1.svg'
set title "$1: $(title_of "$1")"
set ylabel '$(unit_of "$1")'
set yrange [0:*]
set grid ytics
set style fill solid 0.5
set boxwidth 0.6
set xtics noenhanced rotate by -20
plot '$work/$1.plot' using 0:2:xtic(1) with boxes notitle, '' using 0:2:3:4 with yerrorbars lw 2 lc 'black' notitle
EOF
}

growth_plot() {
  local load
  for load in put get; do
    awk -v load="$load" '$1 == "G1" && index($2, load "_") == 1 { print substr($2, 5), $3, $4, $5 }' "$work/values" \
      >"$work/G1.$load.plot"
  done
  gnuplot <<EOF
set terminal svg size 720,420 background '#ffffff'
set output '$root/docs/performance/G1.svg'
set title "G1: $(title_of G1)"
set xlabel 'resources'
set ylabel 'operations/s'
set logscale xy
set grid
plot '$work/G1.put.plot' with yerrorlines lw 2 title 'put', '$work/G1.get.plot' with yerrorlines lw 2 title 'get'
EOF
}

# Replaces what stands between the two marks of the page.
write_page() {
  local page=$root/docs/performance.md bar
  [ -f "$page" ] || { say "there is no $page"; return 1; }
  tables >"$work/tables"
  awk -v tables="$work/tables" '
    /^<!-- begin of figures -->$/ { print; print ""; while ((getline line < tables) > 0) print line; print ""; skip = 1 }
    /^<!-- end of figures -->$/ { skip = 0 }
    !skip' "$page" >"$work/page"
  cp "$work/page" "$page"
  if command -v gnuplot >/dev/null; then
    mkdir -p "$root/docs/performance"
    for bar in $only; do
      grep -q "^$bar " "$work/values" || continue
      if [ "$bar" = G1 ]; then growth_plot; else plot "$bar"; fi
    done
  else
    say "left out: the plots (gnuplot-nox is not installed)"
  fi
}
