#!/usr/bin/env bash
# Copyright: the chainops.infra authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Whether an HTTP server on this host answers a GET with 200: alive HOST PORT PATH. keepalived runs it several times a second,
# so it is plain bash, which starts in 2 ms, and leaves the time limit to keepalived.
exec 3<>"/dev/tcp/$1/$2" || exit 1
printf 'GET %s HTTP/1.0\r\n\r\n' "$3" >&3
read -r -u 3 status_line || exit 1
[[ $status_line == "HTTP/1."?" 200 "* ]]
