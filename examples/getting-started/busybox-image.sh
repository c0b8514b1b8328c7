#!/bin/sh
# A container image of busybox, made without a registry: busybox-image.sh IMAGE.tar
# ctr, podman and docker import it as localhost/busybox:1. It needs a static busybox (Debian: busybox-static).
set -e
case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac
directory=$(mktemp -d)
trap 'rm -r "$directory"' EXIT
mkdir -p "$directory/root/bin"
cp "$(command -v busybox)" "$directory/root/bin/busybox"
for name in sh nc sleep ip ping; do ln -s busybox "$directory/root/bin/$name"; done
tar -C "$directory/root" -cf "$directory/layer.tar" bin
digest=$(sha256sum "$directory/layer.tar" | cut -d' ' -f1)
cat >"$directory/config.json" <<END
{"architecture": "$architecture", "os": "linux", "config": {"Env": ["PATH=/bin"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$digest"]}}
END
cat >"$directory/manifest.json" <<END
[{"Config": "config.json", "RepoTags": ["localhost/busybox:1"], "Layers": ["layer.tar"]}]
END
tar -C "$directory" -cf "$1" manifest.json config.json layer.tar
