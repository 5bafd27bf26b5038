#!/bin/sh
set -eu
. "${0%/*}/../lib/parameters.sh"

seconds=1

parameter() {
    case $1 in
        seconds) seconds=$2 ;;
    esac
}

read_parameters
case $seconds in
    '' | *[!0-9]*) reject "'seconds' must be a whole number, zero or more; it is '$seconds'" ;;
esac

# Becomes `sleep`, so that a signal to end the action ends the wait itself.
exec sleep "$seconds"
