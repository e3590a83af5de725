# shellcheck shell=bash
# Where the guest's image is kept and when it is stale; read by build and run.

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/unio-kernel-peer
image=$cache/image # vmlinux, base.cpio, info, inputs

say() { printf 'kernel peer: %s\n' "$*" >&2; }

# One hash over all that goes into the image. What run adds at each start is not in it.
inputs_hash() {
	(cd -- "$here" && cat build image.bash siw-parameters guest/kpverbs.c ../../../docs/verbs-client.c) | sha256sum | cut -d' ' -f1
}

image_is_fresh() {
	[ -s "$image/vmlinux" ] && [ -s "$image/base.cpio" ] &&
		[ "$(cat "$image/inputs" 2>/dev/null)" = "$(inputs_hash)" ]
}
