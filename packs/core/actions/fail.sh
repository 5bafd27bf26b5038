#!/bin/sh
set -eu
. "${0%/*}/../lib/parameters.sh"

message='Failed as asked'
exit_code=1

parameter() {
    case $1 in
        message) message=$2 ;;
        exit_code) exit_code=$2 ;;
    esac
}

read_parameters
case $exit_code in
    [1-9] | [1-9][0-9] | 1[0-9][0-9] | 2[0-4][0-9] | 25[0-5]) ;;
    *) reject "'exit_code' must be a number from 1 to 255; it is '$exit_code'" ;;
esac

printf '%s\n' "$message" >&2
exit "$exit_code"
