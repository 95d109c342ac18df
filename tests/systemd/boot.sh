#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Boots a systemd of its own: PID 1 of new namespaces, in a cgroup of its own,
# with an empty /run and /var/log and no unit but those that the caller put into
# DIR/units.  Nothing that it does reaches the machine around it.
#
# usage: boot.sh DIR    DIR is private to the caller and below /tmp
#
# Called again by itself: "cgroup" inside the outer mount namespace, "enter" and
# "pid1" as the first process of the new PID namespace.
set -eu

dir=$1
stage=${2-outer}
cgroup=$dir/cgroup

case $stage in
outer)
    # The caller may be killed: everything below dies with it.
    exec setpriv --pdeathsig KILL unshare --mount --propagation private "$0" "$dir" cgroup
    ;;
cgroup)
    # The mount is private to this namespace, so it works whatever the machine has on /sys/fs/cgroup.
    mkdir -p "$cgroup"
    mount -t cgroup2 cgroup2 "$cgroup"
    parent=$cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
    # Those of tests that were killed; a group that is in use cannot be removed.
    find "$parent" -depth -path '*/supd-test-*' -type d -mmin +10 -exec rmdir {} + 2>/dev/null || true
    own=$parent/supd-test-$(basename "$dir")
    mkdir "$own"
    setpriv --pdeathsig KILL unshare --fork --kill-child --pid --mount --uts --ipc --net \
        --mount-proc "$0" "$dir" enter "$own" || true
    find "$own" -depth -type d -exec rmdir {} + 2>/dev/null || true
    ;;
enter)
    # The group that a process is in becomes the root of its new cgroup namespace.
    echo 0 >"$3/cgroup.procs"
    exec unshare --cgroup "$0" "$dir" pid1
    ;;
pid1)
    umount -l "$cgroup"
    while umount -l /sys/fs/cgroup 2>/dev/null; do :; done
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=755 tmpfs /var/log
    # The kernel's settings and log and the console belong to the machine.
    mount --bind -o ro /proc/sys /proc/sys
    mount --bind /dev/null /dev/kmsg
    [ ! -e /dev/console ] || mount --bind /dev/null /dev/console
    mkdir "$dir/generators"
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=supd-test \
        SYSTEMD_UNIT_PATH="$dir/units" SYSTEMD_GENERATOR_PATH="$dir/generators" \
        /lib/systemd/systemd --system --unit=test.target --log-target=journal --show-status=no
    ;;
esac
