#!/bin/sh
# A step that says what it does, and how long it took.
#   tools/step.sh "What it does" command argument…
what=$1
shift
begin=$(date +%s)
printf '\n== %s\n' "$what"
"$@"
outcome=$?
seconds=$(($(date +%s) - begin))
if [ "$outcome" -eq 0 ]; then
    printf '== done in %d min %02d s\n' $((seconds / 60)) $((seconds % 60))
else
    printf '== FAILED after %d min %02d s: %s\n' $((seconds / 60)) $((seconds % 60)) "$*" >&2
fi
exit "$outcome"
