#!/bin/sh
# Makes the Debian package from a built binary, with dpkg-deb alone.
#   tools/package.sh [OUT-FOLDER]        out folder: target/package
# RENKEI_BIN packs a binary that is there already; without it the profile `dist` is built (some 15 minutes).
# RENKEI_MAINTAINER says who answers for the package. The same binary makes the same package, byte by byte.
set -eu
cd "$(dirname "$0")/.."
out=${1:-target/package}
maintainer=${RENKEI_MAINTAINER:-The contributors of Renkei <root@localhost>}

fail() {
    printf 'package: %s\n' "$*" >&2
    exit 1
}
for tool in dpkg-deb dpkg objdump gzip; do
    command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing; on Debian: apt-get install dpkg binutils gzip"
done

if [ -n "${RENKEI_BIN:-}" ]; then
    binary=$RENKEI_BIN
    [ -x "$binary" ] || fail "$binary is not a program"
    # Completions come from the program itself; of another machine's program, from one that runs here.
    runs=${RENKEI_BIN_HERE:-$binary}
else
    tools/step.sh "Building the binary in profile dist (some 15 minutes on two cores)" \
        cargo build --profile dist --locked -p renkei
    binary=target/dist/renkei
    runs=$binary
fi

version=$("$runs" --version | cut -d' ' -f2)
revision=1
case $(objdump -f "$binary" | sed -n 's/^architecture: \([^,]*\).*/\1/p') in
i386:x86-64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) fail "$binary is for a machine that is not known here" ;;
esac
# The newest symbol version that the binary asks of the C library is what it needs installed.
libc=$(objdump -T "$binary" | grep -oE 'GLIBC_[0-9]+\.[0-9]+' | cut -d_ -f2 | sort -uV | tail -n 1)
[ -n "$libc" ] || fail "$binary does not say which C library it needs"
# The time of the last commit, so that the package does not depend on when it was made.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}"
export SOURCE_DATE_EPOCH

mkdir -p "$out"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
umask 022
chmod 755 "$root"
docs=$root/usr/share/doc/renkei
mkdir -p "$root/DEBIAN" "$docs"
install -D -m 755 "$binary" "$root/usr/bin/renkei"
strip --strip-unneeded "$root/usr/bin/renkei" 2>/dev/null || true
install -D -m 644 packaging/renkei.service "$root/usr/lib/systemd/system/renkei.service"
install -D -m 644 packaging/renkei.toml "$root/etc/renkei.toml"
mkdir -p "$root/usr/share/bash-completion/completions" "$root/usr/share/zsh/vendor-completions" \
    "$root/usr/share/fish/vendor_completions.d"
"$runs" completion bash >"$root/usr/share/bash-completion/completions/renkei"
"$runs" completion zsh >"$root/usr/share/zsh/vendor-completions/_renkei"
"$runs" completion fish >"$root/usr/share/fish/vendor_completions.d/renkei.fish"
install -m 644 packaging/copyright THIRD_PARTY.md docs/operating/install.md docs/operating/upgrade.md \
    docs/operating/configuration.md docs/reference/commands.md docs/reference/limits.md "$docs/"
gzip -9n <CHANGELOG.md >"$docs/changelog.gz"
gzip -9n >"$docs/changelog.Debian.gz" <<END
renkei ($version-$revision) unstable; urgency=medium

  * What changed in the program: changelog.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
echo /etc/renkei.toml >"$root/DEBIAN/conffiles"
install -m 755 packaging/postinst packaging/prerm packaging/postrm "$root/DEBIAN/"
(cd "$root" && find usr etc -type f -exec md5sum {} + | LC_ALL=C sort -k 2 >DEBIAN/md5sums)
cat >"$root/DEBIAN/control" <<END
Package: renkei
Version: $version-$revision
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size "$root/usr" "$root/etc" | awk '{ sum += $1 } END { print sum }')
Depends: libc6 (>= $libc), libgcc-s1
Recommends: ca-certificates
Section: net
Priority: optional
Description: City OS in one binary, a durable NGSI-LD context broker
 Renkei keeps what a city is now and what it was: entities by ETSI GS CIM 009,
 their past, and subscriptions. What was answered with success is on the disk;
 whoever must be told is told, also when the server was killed in between.
END
package=$out/renkei_$version-${revision}_$architecture.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
printf '%s\n' "$package"
