#!/bin/bash
# Runs a program of an old tree in a container without privileges, with the graphics libraries and drivers of another
# tree, captured in a folder. Nothing of capsule is in the container.
#
#   captured.sh PROVIDER CONTAINER PROGRAM [ARGUMENT...]
set -euo pipefail

provider=$(realpath "${1:?usage: captured.sh PROVIDER CONTAINER PROGRAM [ARGUMENT...]}")
container=$(realpath "${2:?usage: captured.sh PROVIDER CONTAINER PROGRAM [ARGUMENT...]}")
shift 2
capsule=${CAPSULE:-capsule}

folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

# What is newer than the container's, or a driver; links lead to where the container will have the provider.
# shellcheck disable=SC2086 # it may be a command with arguments
$capsule capture --provider "$provider" --container "$container" --link-target /run/host \
  --dest "$folder/lib" --mounted-at /captured --profile gl,egl,vulkan >"$folder/variables"

# A newer libc runs only with its own ld.so, in the place of the one that programs name.
loader=()
if [ -L "$folder/lib/libc.so.6" ]; then
  # shellcheck disable=SC2086
  loader=(--ro-bind "$provider$($capsule capture --resolve-ld.so="$provider")"
    "$($capsule capture --resolve-ld.so="$container")")
fi

variables=()
while IFS='=' read -r name value; do variables+=(--setenv "$name" "$value"); done <"$folder/variables"

system=()
for path in "$container"/{usr,etc,bin,sbin,lib,lib64}; do
  if [ -L "$path" ]; then
    system+=(--symlink "$(readlink "$path")" "/${path##*/}")
  elif [ -d "$path" ]; then
    system+=(--ro-bind "$path" "/${path##*/}")
  fi
done

${BWRAP:-bwrap} --unshare-all --share-net --die-with-parent --dev /dev --proc /proc --tmpfs /tmp \
  "${system[@]}" "${loader[@]}" --ro-bind "$provider" /run/host --ro-bind "$folder/lib" /captured \
  --dev-bind-try /dev/dri /dev/dri --ro-bind-try /sys /sys --ro-bind-try /tmp/.X11-unix /tmp/.X11-unix \
  --clearenv --setenv PATH /usr/bin:/bin --setenv DISPLAY "${DISPLAY-}" "${variables[@]}" "$@"
