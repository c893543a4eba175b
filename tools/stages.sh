# The stages of ./test. Each writes what it counted to build/test-results/<name>.tally (passed, failed,
# skipped); a failing stage hides no later one. Sourced by ./test, after common.sh.

results=$root/build/test-results
python=(/usr/bin/python3 -E -s -B)  # Debian's, whatever else is in PATH; leaves no __pycache__.
full_run_seconds=1740               # Half an hour, less a minute.
end_to_end_seconds=1200
bench_seconds=400

# Removes directories, those that an end-to-end run left as root too, and never what is mounted in them.
remove() { rm -rf --one-file-system -- "$@" 2>/dev/null || as_root rm -rf --one-file-system -- "$@"; }

# Starts with no results, and with a directory for temporary files that is removed at the end.
start_results() {
  mkdir -p -- "$root/build"
  exec 8>"$root/build/test.lock"
  flock --nonblock 8 || fail "another ./test runs in this checkout: wait for it, or use another checkout"
  export TMPDIR=$root/build/tmp LC_ALL=C.UTF-8
  unset PYTEST_ADDOPTS
  if ! { remove "$results" "$TMPDIR" && mkdir -p -- "$results" "$TMPDIR"; }; then
    fail "cannot empty $results: end what a cut-off test run left (mount | grep build/), then try again"
  fi
  trap 'remove "$TMPDIR" 2>/dev/null' EXIT
}

# Names what failed, prints the sum of all tallies as the last line and exits accordingly.
finish_results() {
  local passed failed skipped
  read -r passed failed skipped < <(cat -- "$results"/*.tally 2>/dev/null |
    awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
  printf '\n%s: logs and reports are in build/test-results; this took %d s\n' "$program" "$SECONDS"
  [ "$failed" -eq 0 ] || "${python[@]}" "$root/tools/failures.py" "$results"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit
}

# tally NAME PASSED FAILED SKIPPED
tally() { printf '%d %d %d\n' "$2" "$3" "$4" >"$results/$1.tally"; }

# run_stage TITLE FUNCTION [ARGS]: announces the stage, runs it, tells how it went and how long it took.
run_stage() {
  local title=$1 began=$SECONDS status
  printf '\n== %s\n' "$title"
  "${@:2}" 2>&1
  status=$?
  [ "$status" -eq 0 ] && printf -- '-- %s: ok, %d s\n' "$title" "$((SECONDS - began))"
  [ "$status" -ne 0 ] && printf -- '-- %s: FAILED, %d s\n' "$title" "$((SECONDS - began))"
  return "$status"
}

# check NAME MEND COMMAND...: one check, counted as one; MEND tells what to do where it fails.
check() {
  local name=$1 mend=$2
  if "${@:3}"; then
    printf '  ok      %s\n' "$name"
    tally "style-$name" 1 0 0
  else
    printf '  FAILED  %s: %s\n' "$name" "$mend"
    tally "style-$name" 0 1 0
    return 1
  fi
}

is_formatted() {
  find "$root/src" "$root/tests" -name '*.h' -print0 -o -name '*.cc' -print0 |
    xargs -0 -r -n 8 -P "$(nproc)" clang-format-19 --dry-run -Werror >"$results/format.log" 2>&1 && return
  if grep -q ': error:' "$results/format.log"; then
    sed -n 's/:[0-9]*:[0-9]*: error:.*/: is not formatted/p' "$results/format.log" | sort -u | head -n 20
  else
    tail -n 5 "$results/format.log"
  fi
  return 1
}

check_style() {
  local status=0
  check format "mend it with: find src tests -name '*.h' -o -name '*.cc' | xargs clang-format-19 -i" \
    is_formatted || status=1
  check layers "each line above says what to change" \
    "${python[@]}" "$root/tests/support/check_layers.py" || status=1
  check layers-self-test "tests/support/check_layers.py no longer finds what it is for" \
    "${python[@]}" "$root/tests/support/check_layers.py" --self-test || status=1
  return "$status"
}

build_stage() {
  build "$1" ON all && return
  tally "build-$1" 0 1 0
  return 1
}

# run_tests PRESET [FILTER]: the unit and integration tests of a build.
run_tests() {
  "${python[@]}" "$root/tools/run_tests.py" "$root/build/$1" "$results/$1" "${@:2}"
}

# run_fuzz short|long: the fuzz targets of the asan build.
run_fuzz() {
  "${python[@]}" "$root/tools/fuzz.py" "$root" "$results" "$1"
}

# Kills, failing system calls and starts with many objects, of the release binary.
run_crashes() {
  LAYOVER_BINARY=$root/build/release/layover "${python[@]}" "$root/tools/crash_runs.py" "$root" "$results"
}

# run_end_to_end [PYTEST-ARGS]: real engines against the release binary, as root.
run_end_to_end() {
  local status report=$results/end-to-end.xml
  if ! compgen -G "$root/tests/e2e/test_*.py" >/dev/null; then
    printf '  there are no end-to-end tests yet (tests/e2e/test_*.py)\n'
    return 0
  fi
  # The engines need root. SIGINT lets pytest take down what it has started.
  (cd -- "$root" && as_root env "TMPDIR=$TMPDIR" LC_ALL=C.UTF-8 "LAYOVER_BINARY=$root/build/release/layover" \
    ${LAYOVER_TEST_SEED:+"LAYOVER_TEST_SEED=$LAYOVER_TEST_SEED"} \
    timeout --signal=INT --kill-after=60 "$end_to_end_seconds" \
    "${python[@]}" -m pytest tests/e2e -p no:cacheprovider --basetemp="$results/end-to-end" \
    --junitxml="$report" -v -ra --tb=short --durations=5 "$@" </dev/null)
  status=$?
  [ "$(id -u)" -eq 0 ] || as_root chown -R "$(id -u):$(id -g)" "$root/build"
  [ "$status" -eq 124 ] && printf '  stopped: over the limit of %d s\n' "$end_to_end_seconds"
  "${python[@]}" "$root/tools/junit.py" "$report" "$status" >"$results/end-to-end.tally"
  [ "$status" -eq 0 ] || printf '  to repeat one: ./test -k NAME\n'
  return "$status"
}

# Every row of ./bench with tiny sizes; no figure is judged.
run_bench() {
  local status
  LAYOVER_INSTALL=no timeout --kill-after=30 "$bench_seconds" \
    "$root/bench" --quick --tally "$results/bench.tally" </dev/null
  status=$?
  [ "$status" -eq 124 ] && printf '  stopped: over the limit of %d s\n' "$bench_seconds"
  [ -s "$results/bench.tally" ] || tally bench 0 1 0
  [ "$status" -eq 0 ] || printf '  to repeat one: ./bench --quick ROW\n'
  return "$status"
}

# Static analysis, for as long as the half hour lasts, a minute at least; what was found clean is not looked at again.
check_tidy() {
  "${python[@]}" "$root/tools/tidy.py" "$root" "$root/build/release" "$results/clang-tidy.tally" \
    --seconds "$((full_run_seconds > SECONDS + 60 ? full_run_seconds - SECONDS : 60))"
}
