#!/bin/sh
# Builds the image: a static binary, the plugins and the CA roots on nothing else.
#
# usage: deploy/image.sh [TAG]            (default sluicegate:latest)
#
# The binary is built on this machine, so that no base image has to be pulled; needed are the Rust
# target x86_64-unknown-linux-musl and musl-gcc (Debian: musl-tools). The image is put together by
# docker where its daemon answers, else by buildah.
set -eu

cd "$(dirname "$0")/.."
tag=${1:-sluicegate:latest}
target=x86_64-unknown-linux-musl
context=target/image
roots=${CA_ROOTS:-/etc/ssl/certs/ca-certificates.crt}

fail() {
    echo "image: $1" >&2
    exit 1
}

command -v musl-gcc >/dev/null || fail "musl-gcc is missing (apt-get install musl-tools)"
[ -s "$roots" ] || fail "no CA roots at $roots (apt-get install ca-certificates, or set CA_ROOTS)"
ls dist/plugins/*.wasm >/dev/null 2>&1 || fail "no plugins in dist/plugins (make plugins)"

rustup target add "$target"
CC_x86_64_unknown_linux_musl=musl-gcc cargo build --release --locked -p sluicegate --target "$target"

rm -rf "$context"
root=$context/rootfs
install -D -m 0755 "target/$target/release/sluicegate" "$root/usr/bin/sluicegate"
install -D -m 0644 "$roots" "$root/etc/ssl/certs/ca-certificates.crt"
for plugin in dist/plugins/*.wasm; do
    install -D -m 0644 "$plugin" "$root/usr/lib/sluicegate/plugins/$(basename "$plugin")"
done
install -d -m 0755 "$root/etc/sluicegate"
install -d -m 1777 "$root/tmp"
install -d -m 0777 "$root/var/lib/sluicegate"
if readelf -l "$root/usr/bin/sluicegate" 2>/dev/null | grep -q INTERP; then
    fail "the binary is not static"
fi

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    docker build --tag "$tag" --file deploy/Dockerfile "$context"
elif command -v buildah >/dev/null; then
    buildah --storage-driver vfs bud --isolation chroot --tag "$tag" --file deploy/Dockerfile "$context"
else
    fail "neither a docker daemon nor buildah is there (apt-get install buildah); the files are in $root"
fi
echo "image: $tag"
