#!/usr/bin/env bash
# Installs the Debian packages named by its arguments and leaves the machine's services as they are:
# none is started, stopped, restarted or enabled, and no package is removed. Needs root.
set -euo pipefail

policy=/usr/sbin/policy-rc.d
saved=/usr/sbin/policy-rc.d.before-layover
marker='# Written by layover for the time of one package installation.'

# Puts the machine's own policy-rc.d back, also what an earlier run that was killed left behind.
restore_policy() {
  if [ -e "$saved" ] || [ -L "$saved" ]; then
    mv -f -- "$saved" "$policy"
  elif grep -qsxF "$marker" "$policy"; then
    rm -f -- "$policy"
  fi
}

# invoke-rc.d(8): with 101, maintainer scripts start no service.
suppress_service_start() {
  if [ -e "$policy" ] || [ -L "$policy" ]; then
    mv -f -- "$policy" "$saved"
  fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$marker" >"$policy"
  chmod 755 "$policy"
}

# The links that say which services start at boot.
enabled_services() {
  find /etc/systemd/system /etc/rc[S0-6].d \( -path '*.wants/*' -o -name 'S*' \) -type l 2>/dev/null | sort
}

# Disables what the installation enabled: a policy-rc.d does not keep packages from enabling services.
disable_new_services() {
  local link name
  comm -13 <(printf '%s\n' "$1") <(enabled_services) | while read -r link; do
    name=${link##*/}
    case $link in
      # The helper, which works without a running systemd, wants to be called by a maintainer script.
      /etc/systemd/*) DPKG_MAINTSCRIPT_PACKAGE=layover deb-systemd-helper disable "$name" >/dev/null 2>&1 ;;
      *) update-rc.d "${name#S[0-9][0-9]}" disable >/dev/null 2>&1 ;;
    esac || printf 'warning: %s is now enabled; disable it by hand if unwanted\n' "$name"
  done
}

apt() {
  apt-get -q -y --no-install-recommends --no-remove \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null 9<&-
}

export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C
exec 9</usr/sbin
flock 9  # Two runs at once would restore each other's policy-rc.d.

restore_policy
enabled_before=$(enabled_services)
trap restore_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
suppress_service_start

apt update || printf 'warning: the package lists are not all fresh; trying with what there is\n'
apt install "$@"
disable_new_services "$enabled_before"
