#!/bin/sh
set -eu
. "${0%/*}/../lib/parameters.sh"

from=5
pause=1

parameter() {
    case $1 in
        from) from=$2 ;;
        pause) pause=$2 ;;
    esac
}

# expect_count NAME VALUE: rejects what is not a number of one to four digits without a leading zero.
expect_count() {
    case $2 in
        0 | [1-9] | [1-9][0-9] | [1-9][0-9][0-9] | [1-9][0-9][0-9][0-9]) ;;
        *) reject "'$1' must be a number from 0 to 9999; it is '$2'" ;;
    esac
}

read_parameters
expect_count from "$from"
expect_count pause "$pause"

remaining=$from
while [ "$remaining" -gt 0 ]; do
    printf '{"remaining":%s,"percent":%s}\n' "$remaining" "$(((from - remaining) * 100 / from))"
    sleep "$pause"
    remaining=$((remaining - 1))
done
printf '{"remaining":0,"percent":100}\n'
