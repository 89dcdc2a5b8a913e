#!/bin/sh
# Redis for queue, wake-ups and policy hints: one user with a password, the default user off.
set -eu
umask 077
PASSWORD=$(cat /run/querykeep/redis/password)
cat >/tmp/redis.conf <<CONF
bind * -::*
port 6379
save ""
appendonly no
dir /tmp
user default off
user querykeep on >$PASSWORD ~* &* +@all -@admin -flushall -flushdb -swapdb
CONF
exec redis-server /tmp/redis.conf
