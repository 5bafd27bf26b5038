#!/bin/sh
set -eu
. "${0%/*}/../lib/parameters.sh"

message=Hello

parameter() {
    case $1 in
        message) message=$2 ;;
    esac
}

read_parameters
printf '%s\n' "$message"
