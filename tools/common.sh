# What ./run and ./test share: messages, root rights, packages, and the build. Sourced, never run.
# The sourcing script sets `root` (the checkout) and `program` (its own name).

say() { printf '%s: %s\n' "$program" "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    say "this needs root, and there is no sudo here: $*"
    return 1
  fi
}

# Prints the packages of the given entries (see packages.sh) that are not installed.
missing_packages() {
  local entry package
  local -A is_installed=()
  while read -r state package; do
    [ "$state" = installed ] && is_installed[$package]=yes
  done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${@%%/*}" 2>/dev/null)
  for entry in "$@"; do
    package=${entry%%/*}
    [ -n "${is_installed[$package]:-}" ] && continue
    [ "$entry" != "$package" ] && command -v "${entry#*/}" >/dev/null && continue
    printf '%s\n' "$package"
  done
}

# Makes sure that the packages of the given entries are installed, or ends the script with the mend.
ensure_packages() {
  local missing
  if [ "${LAYOVER_INSTALL:-yes}" = no ]; then
    say "LAYOVER_INSTALL=no: building with what is installed"
    return
  fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "there is no apt-get here; install what these Debian packages contain, then run this again with
  LAYOVER_INSTALL=no in the environment: ${*%%/*}"
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return
  say "installing ${#missing[@]} Debian packages: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
    fail "installing needs root, and there is no sudo here; as root run:
  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
  fi
  as_root bash "$root/tools/install_packages.sh" "${missing[@]}" >&2 ||
    fail "the packages could not be installed (the reason is above); mend it, or as root run:
  apt-get update && apt-get install --no-install-recommends ${missing[*]}"
}

# How many compilers to run at once: one per processor, and 1 GiB of free memory for each.
# LAYOVER_JOBS overrides it.
build_jobs() {
  local processors kibibytes
  if [ -n "${LAYOVER_JOBS:-}" ]; then
    echo "$LAYOVER_JOBS"
    return
  fi
  processors=$(nproc)
  kibibytes=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2>/dev/null)
  awk -v n="$processors" -v k="${kibibytes:-0}" \
    'BEGIN { m = int(k / 1048576); if (k > 0 && m < n) n = m; print n < 1 ? 1 : n }'
}

# configure PRESET ON|OFF: prepares build/PRESET, with the tests or without. Does nothing where that is
# done: a build tree that has the tests serves both scripts, so that neither undoes the other's work.
configure() {
  local preset=$1 tests=$2 directory=$root/build/$1 arguments=()
  local cache=$directory/CMakeCache.txt
  if [ -f "$cache" ]; then
    if ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$cache" || [ ! -f "$directory/build.ninja" ]; then
      arguments+=(--fresh)  # The checkout was moved, or the last attempt failed.
    elif [ "$tests" = OFF ] || grep -qx 'LAYOVER_TESTS:BOOL=ON' "$cache"; then
      return 0
    fi
  fi
  say "configuring build/$preset"
  (cd -- "$root" && cmake "${arguments[@]}" --preset "$preset" "-DLAYOVER_TESTS=$tests") >&2
}

# build PRESET ON|OFF TARGET: configures and builds; says how to repeat it where it fails.
build() {
  if ! configure "$1" "$2"; then
    say "configuring failed: CMake's reason is above; to repeat: cmake --preset $1 -DLAYOVER_TESTS=$2"
    return 1
  fi
  if ! ninja -C "$root/build/$1" -j "$(build_jobs)" "$3" >&2; then
    say "the build failed: the reason is above; to repeat: ninja -C build/$1 $3"
    return 1
  fi
}
