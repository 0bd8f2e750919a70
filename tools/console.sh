#!/bin/sh
# Builds the console, which becomes a part of the binary; where this machine's Node is too old, says so and goes on without.
set -eu
cd "$(dirname "$0")/.."
needed=20.19
found=$(node --version 2>/dev/null | sed -E 's/^v([0-9]+\.[0-9]+).*/\1/')
newest=$(printf '%s\n%s\n' "$needed" "${found:-0}" | sort -V | tail -n 1)
if [ -z "$found" ] || [ "$newest" != "$found" ]; then
    echo "NOT BUILT: the console. It needs Node $needed or later, ${found:-none} is here; everything else works without it."
    exit 0
fi
exec tools/step.sh "Building the console (the first time some 2 minutes)" console/build.sh
