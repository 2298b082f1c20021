#!/bin/sh
# Installs windlass on this machine: the binary, manual pages, shell completions, documents and, for systemd, the
# units with their users and folders. Nothing is started, and nothing that somebody else wrote is overwritten or
# removed: what was installed is listed in share/windlass/installed.txt, and --uninstall removes that alone.
#
#   cargo build --release && deploy/install.sh [--prefix DIR] [--binary FILE] [--no-systemd]
#   deploy/install.sh --uninstall [--prefix DIR]
#
# DESTDIR is put before every path, for packages and images.
set -eu

prefix=/usr/local
binary=
systemd=yes
task=install
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -ge 2 ] || fail "--prefix needs a folder"; prefix=$2; shift ;;
        --binary) [ $# -ge 2 ] || fail "--binary needs a file"; binary=$2; shift ;;
        --no-systemd) systemd=no ;;
        --uninstall) task=uninstall ;;
        -h | --help) sed -n '2,/^set -eu/{/^set -eu/d;s/^# \{0,1\}//;p;}' "$0"; exit 0 ;;
        *) fail "$1 is no option of this script; --help lists them" ;;
    esac
    shift
done
case $prefix in
    /*) ;;
    *) fail "--prefix must be an absolute path, not $prefix" ;;
esac
prefix=${prefix%/}
# Units and settings name the prefix; these characters mean something to systemd or to sed.
case $prefix in
    *[!A-Za-z0-9/._+-]*) fail "--prefix may have letters, digits and / . _ + - alone, not $prefix" ;;
esac
root=${DESTDIR:-}
# Where a machine's own settings lie: a system-wide prefix has them in /etc, any other has its own.
case $prefix in
    '' | /usr | /usr/local) etc=/etc/windlass ;;
    *) etc=$prefix/etc/windlass ;;
esac
list=$prefix/share/windlass/installed.txt

uninstall() {
    [ -f "$root$list" ] || fail "$root$list is not there: nothing was installed with this prefix"
    # The list names itself last, so that a run that was interrupted can be repeated.
    while IFS= read -r path; do
        case $path in
            "$prefix"/*) rm -f "$root$path" ;;
            *) fail "$root$list names $path, which is not below $prefix; mend or remove that line" ;;
        esac
    done <"$root$list"
    # Folders that are empty now, the deepest first; those of others are not.
    for folder in share/windlass share/doc/windlass share/man/man1 share/man share/bash-completion/completions \
        share/bash-completion share/zsh/site-functions share/zsh share/fish/vendor_completions.d share/fish \
        share/doc share lib/systemd/system lib/systemd lib/sysusers.d lib/tmpfiles.d lib bin; do
        rmdir "$root$prefix/$folder" 2>/dev/null || true
    done
    printf 'removed; settings in %s and data folders are as they were\n' "$etc"
}

# put MODE SOURCE PATH: a file, whole under another name first, so that what runs from the old one goes on with it.
put() {
    mkdir -p "$root$(dirname "$3")"
    install -m "$1" "$2" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
    printf '%s\n' "$3" >>"$work/list"
}

# as_installed SOURCE: the file with this prefix's paths in it.
as_installed() {
    sed -e "s|/usr/local/|$prefix/|g" -e "s|/etc/windlass|$etc|g" "$1" >"$work/filled"
}

install_all() {
    if [ -z "$binary" ]; then
        binary=${CARGO_TARGET_DIR:-$here/../target}/release/windlass
        [ -x "$binary" ] || fail "$binary is not there: run 'cargo build --release' first, or name it with --binary"
    fi
    [ -f "$binary" ] && [ -x "$binary" ] || fail "$binary is no program"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    : >"$work/list"
    # It must run here before it takes another's place.
    "$binary" --version >/dev/null || fail "$binary does not run on this machine"

    put 0755 "$binary" "$prefix/bin/windlass"
    "$binary" --quiet man --dir "$work/man"
    for page in "$work"/man/*.1; do
        put 0644 "$page" "$prefix/share/man/man1/${page##*/}"
    done
    for shell in bash zsh fish; do
        "$binary" completions "$shell" >"$work/windlass.$shell"
    done
    put 0644 "$work/windlass.bash" "$prefix/share/bash-completion/completions/windlass"
    put 0644 "$work/windlass.zsh" "$prefix/share/zsh/site-functions/_windlass"
    put 0644 "$work/windlass.fish" "$prefix/share/fish/vendor_completions.d/windlass.fish"
    for page in "$here"/../README.md "$here"/../LICENSE-* "$here"/../docs/*.md; do
        put 0644 "$page" "$prefix/share/doc/windlass/${page##*/}"
    done
    if [ "$systemd" = yes ]; then
        for unit in "$here"/systemd/*.service "$here"/systemd/*.timer; do
            as_installed "$unit"
            put 0644 "$work/filled" "$prefix/lib/systemd/system/${unit##*/}"
        done
        for kind in sysusers tmpfiles; do
            as_installed "$here/systemd/$kind.conf"
            put 0644 "$work/filled" "$prefix/lib/$kind.d/windlass.conf"
        done
        put 0644 "$here/windlass.toml" "$prefix/share/windlass/windlass.toml"
        # A machine's own settings are laid once, and belong to it from then on.
        if [ ! -e "$root$etc/windlass.toml" ]; then
            mkdir -p "$root$etc"
            install -m 0644 "$here/windlass.toml" "$root$etc/windlass.toml"
        fi
    fi
    forget_older
    printf '%s\n' "$list" >>"$work/list"
    cp "$work/list" "$work/whole"
    put 0644 "$work/whole" "$list"
    next_steps
}

# Files of an earlier version that this one no longer has.
forget_older() {
    [ -f "$root$list" ] || return 0
    printf '%s\n' "$list" | cat "$work/list" - | LC_ALL=C sort >"$work/now"
    LC_ALL=C sort "$root$list" | LC_ALL=C comm -23 - "$work/now" >"$work/gone"
    while IFS= read -r path; do
        case $path in
            "$prefix"/*) rm -f "$root$path" ;;
        esac
    done <"$work/gone"
}

next_steps() {
    printf 'installed %s files below %s\n' "$(wc -l <"$work/whole")" "$root$prefix"
    [ "$systemd" = yes ] && [ -z "$root" ] || return 0
    cat <<END
next, as root:
  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload
  systemctl enable --now windlass-coordinator          # on the head node
  systemctl enable --now windlass-worker               # on a GPU machine, with WINDLASS_JOIN=TOKEN in $etc/worker.env
END
}

case $task in
    install) install_all ;;
    uninstall) uninstall ;;
esac
