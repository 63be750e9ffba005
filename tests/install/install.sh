#!/usr/bin/env bash
# Installs the build into a folder and uses it as callers do: pkg-config, CMake package, C99, C++, the README's example;
# and looks at what the libraries export and link.  Usage: install.sh BUILD SOURCE
set -euo pipefail
build=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }

cmake --install "$build" --prefix "$work/usr" >/dev/null
pc=$(find "$work/usr" -name stigstore.pc)
export PKG_CONFIG_PATH=${pc%/*}
lib=${PKG_CONFIG_PATH%/pkgconfig}
export LD_LIBRARY_PATH=$lib
export STIGSTORE_URL=$work/store.sqlite

# The README's example.
sed -n '/^```c$/,/^```$/{/^```/d;p}' "$source/README.md" >"$work/example.c"
[ -s "$work/example.c" ] || fail "the README has no example"
for package in stigstore stigstore_embedded; do
  gcc -Wall -Wextra -Werror "$work/example.c" -o "$work/example" $(pkg-config --cflags --libs $package)
  "$work/example" | grep -q '^hello$' || fail "the README's example through $package"
  rm -f "$work"/store.sqlite*
done

# The header alone, as C99 and as C++.
echo '#include <stigstore.h>' >"$work/header.c"
gcc -std=c99 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags stigstore) -c "$work/header.c" -o "$work/header.o"
g++ -std=c++11 -x c++ -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags stigstore) -c "$work/header.c" -o "$work/header.o"

# The CMake package.
cat >"$work/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(caller C)
find_package(stigstore REQUIRED)
add_executable(caller example.c)
target_link_libraries(caller PRIVATE stigstore::stigstore)
add_executable(caller_static example.c)
target_link_libraries(caller_static PRIVATE stigstore::stigstore_static)
CMAKE
cmake -S "$work" -B "$work/b" -G Ninja -DCMAKE_PREFIX_PATH="$work/usr" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/b" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$work/b/caller" | grep -q '^hello$' || fail "the example through the CMake package"
rm -f "$work"/store.sqlite*
"$work/b/caller_static" | grep -q '^hello$' || fail "the example through the static library"

# What is exported and linked.
for library in libstigstore.so libstigstore_embedded.so; do
  others=$(nm -D --defined-only "$lib/$library" | awk '$2 != "A" {print $3}' | sed 's/@.*//' | grep -v '^stigstore_' || true)
  [ -z "$others" ] || fail "$library exports $others"
  nm -D --defined-only "$lib/$library" | grep -q 'stigstore_open@@' || fail "$library has no versioned symbols"
done
for library in libstigstore.a libstigstore_embedded.a; do
  others=$(nm -g --defined-only "$lib/$library" 2>/dev/null | awk 'NF == 3 {print $3}' | grep -v '^stigstore_' || true)
  [ -z "$others" ] || fail "$library exports $others"
done
needed=$(readelf -d "$lib/libstigstore_embedded.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^libc\.\|^ld-linux\|^libm\.' | sort | tr '\n' ' ')
[ "$needed" = "libsqlite3.so.0 " ] || fail "libstigstore_embedded.so links $needed"

echo "sizes in bytes, stripped:"
for file in "$lib/libstigstore.so" "$lib/libstigstore_embedded.so" "$work"/usr/bin/stigstore*; do
  strip -o "$work/stripped" "$file"
  printf '  %-28s %s\n' "$(basename "$file")" "$(stat -L -c %s "$work/stripped")"
done
