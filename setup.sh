#!/usr/bin/env bash
# Brings a fresh Debian or Ubuntu machine to where `symphony` runs; needs bash alone, and root or sudo where a
# system package is missing. Whatever is there already is left alone, so a second run takes a moment.
# With --browser, also what the tests look at Prefect's UI with; with --faults, what they make a moved clock with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
exec {turn}<setup.sh
flock "$turn" # two at once, as `make -j` has them, take turns
PATH=$PATH:/usr/sbin:/sbin

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
[ "$(id -u)" = 0 ] && sudo=() || sudo=(sudo)

# --- System packages: by the program they bring, so that another vendor's containerd or Docker is left alone. ---
packages=()
need() { # program package
  [ -x "$1" ] || command -v "$1" >/dev/null || packages+=("$2")
}
# A Python that can make environments; Debian's own where there is none.
suits() { command -v "$1" >/dev/null && "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
choose() {
  local name
  for name in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if suits "$name"; then echo "$name"; return; fi
  done
}
# An environment that was copied here with its folder still calls the programs of where it was.
if [ -e .venv/symphony.home ] && [ "$(cat .venv/symphony.home)" != "$PWD" ]; then rm -rf .venv; fi
if [ -x .venv/bin/python ]; then python=.venv/bin/python; else
  python=$(choose)
  [ -n "$python" ] || packages+=(python3 python3-venv)
fi
need make make
need git git
need containerd containerd
need runc runc
need etcd etcd-server
need /usr/lib/cni/bridge containernetworking-plugins
need dockerd docker.io
need docker-registry docker-registry
need redis-server redis-server
need "$(find /usr/lib/postgresql -name initdb 2>/dev/null | head -n 1)" postgresql # not on PATH
need catatonit catatonit
need debootstrap debootstrap
need iptables iptables
need ip iproute2
need conntrack conntrack
if [ "${1:-}" = --browser ]; then need chromium chromium; fi
if [ "${1:-}" = --faults ]; then
  need cc gcc
  [ -e /usr/include/stdio.h ] || packages+=(libc6-dev)
fi
[ -e /etc/ssl/certs/ca-certificates.crt ] || packages+=(ca-certificates)

# While packages are installed, no service of theirs may start: the sandbox runs its own, and the machine's stay as they are.
guard=/usr/sbin/policy-rc.d
mark='# put here by Symphony while it installs packages'
lift() {
  if [ -e "$guard.symphony" ]; then "${sudo[@]}" mv -f "$guard.symphony" "$guard"
  elif grep -qsF "$mark" "$guard"; then "${sudo[@]}" rm -f "$guard"; fi
}
install_packages() {
  command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get: $*. Install their like, then run this again."
  [ ${#sudo[@]} = 0 ] || command -v sudo >/dev/null || fail "these packages are missing: $*. Run this as root, or install sudo."
  say "Installing Debian packages: $*"
  trap lift EXIT
  lift # what a run that was killed has left
  if [ -e "$guard" ]; then "${sudo[@]}" cp -a "$guard" "$guard.symphony"; fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" | "${sudo[@]}" tee "$guard.new" >/dev/null
  "${sudo[@]}" chmod 755 "$guard.new"
  "${sudo[@]}" mv -f "$guard.new" "$guard"
  "${sudo[@]}" apt-get -q update >&2 || fail "apt-get update failed; see its message above, mend the package sources, and run this again."
  # --no-remove: a package of another vendor is never thrown out for one of these.
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends --no-remove "$@" >&2 ||
    fail "apt-get could not install: $*. See its message above, mend that, and run this again."
  lift
  trap - EXIT
}
if [ ${#packages[@]} -gt 0 ]; then install_packages "${packages[@]}"; fi

# --- The Python environment: exactly the lock, by uv, whose own pin is in the lock too. ---
lock=$(sha256sum requirements.lock | cut -d' ' -f1)
if [ "$(cat .venv/symphony.lock 2>/dev/null)" != "$lock" ] || [ ! -x .venv/bin/uv ]; then
  [ -n "$python" ] || python=$(choose)
  [ -n "$python" ] || fail "no Python 3.11 or later was found; install python3 and python3-venv, and run this again."
  say "Installing the Python environment"
  [ -x .venv/bin/python ] || "$python" -m venv .venv
  pinned=$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.lock)
  if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$pinned" ]; then
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
      -r <(sed -n '/^uv==/,/[^\\]$/p' requirements.lock) >&2
  fi
  # uv does not read pip's settings: a machine that sets a package index for pip means it for uv too.
  index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}
  if [ -n "$index" ]; then export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}; fi
  if [ -n "${PIP_EXTRA_INDEX_URL:-}" ]; then export UV_INDEX=${UV_INDEX:-$PIP_EXTRA_INDEX_URL}; fi
  .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock >&2
  printf '%s\n' "$lock" >.venv/symphony.lock
fi

# --- The project itself: this folder on the environment's path, and its command. ---
command=.venv/bin/symphony
for packages in .venv/lib/python3*/site-packages; do printf '%s\n' "$PWD" >"$packages/symphony-home.pth"; done
cat >"$command.new" <<'COMMAND'
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -c 'from cli.main import main; main()' "$@"
COMMAND
chmod 755 "$command.new"
mv -f "$command.new" "$command"
printf '%s\n' "$PWD" >.venv/symphony.home

exec "$command" toolchain build
