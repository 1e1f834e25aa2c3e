#!/bin/bash
# Runs a program of another release's tree in a container, with the graphics of the host, which the container shows at /run/host.
#
#   container.sh TREE PROGRAM [ARGUMENT...]
set -euo pipefail

tree=${1:?usage: container.sh TREE PROGRAM [ARGUMENT...]}
shift
bun=${BUN:-$(realpath "$(command -v bun)")}
package=${CAPSULE:-$(realpath "$(dirname "$(realpath "$(command -v capsule)")")/..")}

# The tree is the container's own system, read-only.
system=()
for path in "$tree"/{usr,etc,bin,sbin,lib,lib64}; do
  if [ -L "$path" ]; then
    system+=(--symlink "$(readlink "$path")" "/${path##*/}")
  elif [ -d "$path" ]; then
    system+=(--ro-bind "$path" "/${path##*/}")
  fi
done

# What the host's graphics need: its files, its devices, the server that shows pictures.
host=(
  --ro-bind /usr /run/host/usr --ro-bind /etc /run/host/etc
  --symlink usr/lib /run/host/lib --symlink usr/lib64 /run/host/lib64
  --dev-bind-try /dev/dri /dev/dri --ro-bind-try /sys /sys
  --ro-bind-try /tmp/.X11-unix /tmp/.X11-unix
)

# What capsule needs: Bun, the package, and a directory to write to that is not mounted noexec.
capsule=(--ro-bind "$bun" /opt/bun --ro-bind "$package" /opt/capsule --tmpfs /home)

# shellcheck disable=SC2086 # it may have options
exec ${BWRAP:-bwrap} --unshare-all --share-net --die-with-parent \
  --dev /dev --proc /proc --tmpfs /tmp "${system[@]}" "${host[@]}" "${capsule[@]}" \
  --clearenv --setenv PATH /opt:/usr/bin:/bin --setenv HOME /home --setenv DISPLAY "${DISPLAY-}" \
  bun /opt/capsule/${MAIN:-dist/main.js} exec ${CAPSULE_OPTIONS-} "$@"
