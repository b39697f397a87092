#!/bin/sh
# Prints the data dir for `make run`: the one that was asked for, else ./momsflow-data. As root PostgreSQL runs as
# the user postgres; where that user cannot reach this folder (a checkout in /root), /var/lib/momsflow instead.
set -eu

asked="${1:-}"
elsewhere=/var/lib/momsflow

if [ -n "$asked" ]; then
    echo "$asked"
elif [ "$(id -u)" -ne 0 ] || ! id postgres >/dev/null 2>&1 || runuser -u postgres -- test -x "$PWD"; then
    echo momsflow-data
else
    echo "the user postgres cannot enter $PWD, so the data is kept in $elsewhere (DATA_DIR=… chooses another)" >&2
    echo "$elsewhere"
fi
