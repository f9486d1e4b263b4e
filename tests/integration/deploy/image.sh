#!/usr/bin/env bash
# Builds what the Dockerfile builds, and runs it as a container would: every mount read-only but /tmp, no network but its own
# loopback interface, process 1 of its own, user 10001 without a capability. In a mount namespace of its own, as root.
#
# Usage: unshare --mount image.sh FOLDER    (with context/, cache/, build.sh, runtime.sh and check.py of the test in it)
set -euo pipefail
folder=$1
. "$folder/runtime.sh"                      # prefix, environment, user, work, health, serve

mount --make-rprivate /
# The stand-in for the base image is this machine with its Python, which may lie where only root may look.
hold=/mnt
mount -t tmpfs tmpfs "$hold"
mkdir "$hold/prefix" "$hold/folder"
mount --bind "$prefix" "$hold/prefix"
mount --bind "$folder" "$hold/folder"
home=$(getent passwd root | cut -d: -f6)
mount -t tmpfs tmpfs "$home"
mkdir -p "$prefix" "$home/.cache/uv"
mount --bind "$hold/prefix" "$prefix"
mount --bind "$hold/folder/cache" "$home/.cache/uv"
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /usr/local/src

"$prefix/bin/python3" -m venv /opt/base
(export PATH="/opt/base/bin:$PATH"; cd "$hold/folder/context"; CONTEXT=$PWD . "$hold/folder/build.sh") 2>&1
rm -rf /opt/base
echo "built: $(ls /opt)"

check=$(cat "$hold/folder/check.py")
mount -t tmpfs -o mode=1777 tmpfs /tmp
cut -d' ' -f5 /proc/self/mountinfo | while read -r mounted; do
  case "$mounted" in /tmp | /proc* | /dev* | /sys* | *"\\"*) ;; *) mount -o remount,bind,ro "$mounted" 2>/dev/null || true ;; esac
done
cd "$work"
as=(setpriv --reuid "$user" --regid "$user" --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all
  env -i "${environment[@]}")

inside() {
  python3 - <<'END'
import fcntl, socket, struct

with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))
END
  "${as[@]}" sidecar serve --check-config > /tmp/settings.yaml
  echo "checked: $(grep -c : /tmp/settings.yaml) settings"
  rm /tmp/settings.yaml
  unshare --pid --fork -- "${as[@]}" "${serve[@]}" > /dev/stderr &
  outer=$!
  for _ in $(seq 240); do
    if "${as[@]}" "${health[@]}" > /dev/null 2>&1; then echo "health: 0"; break; fi
    kill -0 "$outer" || break
    sleep 0.5
  done
  inner=$(cat "/proc/$outer/task/$outer/children")
  inner=${inner// /}
  echo "process: $(grep NSpid "/proc/$inner/status" | tr '\t' ' ')"
  echo "user: $(grep Uid "/proc/$inner/status" | cut -f2-5)"
  echo "capabilities: $(grep -E 'Cap(Prm|Eff|Bnd)' "/proc/$inner/status" | cut -f2 | sort -u)"
  "${as[@]}" SIDECAR_TARGET=127.0.0.1:50051 python -c "$check"
  "${as[@]}" sh -c 'touch /opt/splade-sidecar/x' 2> /dev/null || echo "read-only: /opt/splade-sidecar"
  touch /opt/x 2> /dev/null || echo "read-only for root: /opt"
  echo "memory: $(grep VmHWM "/proc/$inner/status" | tr -s '\t ' ' ')"
  kill -TERM "$inner"
  code=0
  wait "$outer" || code=$?
  echo "ended: $code"
  echo "left in /tmp: $(ls -A /tmp)"
}
export -f inside
declare -p as serve health > /tmp/words
unshare --net bash -c ". /tmp/words; rm /tmp/words; check=\$0; inside" "$check"
