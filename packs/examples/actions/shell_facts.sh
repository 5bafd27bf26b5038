#!/bin/sh
# Runs on bash, dash, busybox, zsh, ksh and mksh. Needs no other program, because an image may have none (mksh alone has
# no printf of its own).
set -eu
. "${0%/*}/../lib/parameters.sh"
. "${0%/*}/../lib/json.sh"

name=

parameter() {
    case $1 in
        name) name=$2 ;;
    esac
}

# first_line FILE: prints the first line of FILE, or nothing where it cannot be read.
first_line() {
    if [ -r "$1" ]; then
        IFS= read -r _line <"$1" || :
        printf '%s' "$_line"
    fi
}

# PRETTY_NAME of /etc/os-release, for example "Debian GNU/Linux 12 (bookworm)".
os_name() {
    [ -r /etc/os-release ] || return 0
    while IFS='=' read -r _key _text; do
        if [ "$_key" = PRETTY_NAME ]; then
            _text=${_text#\"}
            printf '%s' "${_text%\"}"
        fi
    done </etc/os-release
}

cpu_count() {
    [ -r /proc/cpuinfo ] || return 0
    _count=0
    while read -r _key _text; do
        [ "$_key" != processor ] || _count=$((_count + 1))
    done </proc/cpuinfo
    [ "$_count" -eq 0 ] || printf '%s' "$_count"
}

memory_mib() {
    [ -r /proc/meminfo ] || return 0
    while read -r _key _amount _unit; do
        [ "$_key" != MemTotal: ] || printf '%s' "$((_amount / 1024))"
    done </proc/meminfo
}

shell_name() {
    if [ -n "${BASH_VERSION-}" ]; then
        printf 'bash %s' "$BASH_VERSION"
    elif [ -n "${ZSH_VERSION-}" ]; then
        printf 'zsh %s' "$ZSH_VERSION"
    elif [ -n "${KSH_VERSION-}" ]; then
        printf '%s' "$KSH_VERSION"
    else
        printf 'a POSIX shell'
    fi
}

read_parameters
uptime=$(first_line /proc/uptime)
load=$(first_line /proc/loadavg)

printf '{"greeting":%s' "$(json_string "Hello, ${name:-world}!")"
printf ',"shell":%s' "$(json_string "$(shell_name)")"
printf ',"hostname":%s' "$(json_string "$(first_line /proc/sys/kernel/hostname)")"
printf ',"os":%s' "$(json_string "$(os_name)")"
printf ',"kernel":%s' "$(json_string "$(first_line /proc/sys/kernel/osrelease)")"
printf ',"cpus":%s' "$(json_number "$(cpu_count)")"
printf ',"memory_mib":%s' "$(json_number "$(memory_mib)")"
printf ',"uptime_seconds":%s' "$(json_number "${uptime%% *}")"
printf ',"load":%s}\n' "$(json_number "${load%% *}")"
