#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The first process of the machine: mounts what a system has, then becomes what the plan wants: a shell that waits for
# the tests and reaps what comes, or supd.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As systemd does it on a machine of its own: for those that tests/systemd boots.
tr ' ' '\n' </sys/fs/cgroup/cgroup.controllers | while read -r controller; do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
done
ip link set lo up
exec </dev/console >/dev/console 2>&1

[ ! -e /supd.conf ] || exec /build/supd --init -c /supd.conf
python3 /src/tests/vm/guest.py
echo "the guest's program ended with $?"
exit 1
