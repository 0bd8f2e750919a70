#!/bin/sh
# The faults of `make test` at full size. Every step can be run alone; a failing seed is printed by its test.
#   tools/torture.sh [STEP…]      kills loop disks clocks flips inputs cases permits data; without one, all of them
set -eu
cd "$(dirname "$0")/.."
step=tools/step.sh
kills=${RENKEI_KILLS:-300}
loop_kills=${RENKEI_LOOP_KILLS:-200}
seeds=${RENKEI_SEEDS:-1..2001}
flips=${RENKEI_FLIPS:-10000}
inputs=${RENKEI_INPUTS:-1000000}
cases=${PROPTEST_CASES:-1000000}
# Only where it is named: a test that repeats one input must not be given a range of disks.
unset RENKEI_SEEDS
steps=${*:-kills loop disks clocks flips inputs cases permits data}

# With --workspace always, as in `make test`: another choice of packages would build the libraries anew.
$step "Building everything" cargo test --profile ci --locked --workspace --no-run --quiet
for one in $steps; do
    case $one in
    kills)
        $step "$kills kills at random moments" env RENKEI_KILLS="$kills" \
            cargo test --profile ci --locked --workspace --test kill --test mqtt_kill -- --nocapture
        ;;
    loop)
        $step "$loop_kills kills at each step of the loop" env RENKEI_LOOP_KILLS="$loop_kills" \
            cargo test --profile ci --locked --workspace --test loop_kill -- --nocapture
        ;;
    disks)
        $step "Disks that drop, tear and reorder, seeds $seeds" env RENKEI_SEEDS="$seeds" \
            cargo test --profile ci --locked --workspace --test durability -- --nocapture
        ;;
    clocks)
        $step "Clocks that jump by a year, seeds $seeds" env RENKEI_SEEDS="$seeds" \
            cargo test --profile ci --locked --workspace --test clock -- --nocapture
        ;;
    flips)
        $step "$flips flipped bits, each in a data folder of its own (some 45 minutes)" env RENKEI_FLIPS="$flips" \
            cargo test --profile ci --locked --workspace --test life flipped_bit -- --nocapture
        ;;
    inputs)
        $step "$inputs broken inputs for every reader (hours)" env RENKEI_INPUTS="$inputs" \
            cargo test --profile ci --locked --workspace --test inputs -- --nocapture
        $step "$inputs broken configuration files" env RENKEI_INPUTS="$inputs" \
            cargo test --profile ci --locked --workspace --bin renkei no_file_breaks -- --nocapture
        ;;
    cases)
        $step "Random cases in the pure rooms, $cases each" env PROPTEST_CASES="$cases" \
            cargo test --profile ci --locked -p city-model -p city-ngsi-ld -p city-ingest
        ;;
    permits)
        $step "${RENKEI_ROUNDS:-10000} withdrawals against readers" env RENKEI_ROUNDS="${RENKEI_ROUNDS:-10000}" \
            cargo test --profile ci --locked --workspace --test red_team withdrawal -- --nocapture
        $step "$cases random policies against full evaluation (an hour)" env RENKEI_CASES="$cases" \
            cargo test --profile ci --locked --workspace --test decisions pushed_down -- --nocapture
        ;;
    data)
        $step "Real city data, whole files" env RENKEI_FULL=1 \
            cargo test --profile ci --locked --workspace --test koto -- --nocapture
        ;;
    *)
        echo "torture: there is no step $one" >&2
        exit 2
        ;;
    esac
done
