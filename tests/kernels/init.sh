#!/bin/busybox sh
# The first process of a guest: makes ready what a program expects of Linux, executes /jobs, which uses the functions
# below, and sends all of /out over the console.
/bin/busybox mkdir -p /proc /sys /dev /run
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox --install -s /bin
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
export PATH=/bin HW_TRUTH TMPDIR HW_TRUTH_WATCHER
echo 1 >/proc/sys/kernel/printk
ip link set lo up 2>/dev/null
mkdir -p /out /tmp /rooms/root /rooms/nobody
chmod 1777 /out /tmp
chown 65534:65534 /rooms/nobody
echo 'root:x:0:0:root:/:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh' >/etc/passwd
for module in /modules/*.ko; do
	[ ! -e "$module" ] || insmod "$module" || echo "@ $module could not be loaded"
done
# A group with the memory controller for each user, as systemd delegates one: the user may make groups in it.
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
for user in root nobody; do
	group=/sys/fs/cgroup/$user
	mkdir "$group"
	echo '+memory +pids' >"$group/cgroup.subtree_control"
	mkdir "$group/leaf"
	chown -R "$(id -u $user):$(id -g $user)" "$group"
done

# setting NAME FILE VALUE: what the kernel makes of it is kept
setting() {
	echo "$3" >"$2"
	printf '%s %s\n' "$1" "$(cat "$2")" >>/out/settings
}

# swap MIB: that much of compressed memory to swap to
swap() {
	echo "$1M" >/sys/block/zram0/disksize && mkswap /dev/zram0 >/dev/null && swapon /dev/zram0
	printf 'swap %s\n' "$(awk 'NR > 1 { print $3 }' /proc/swaps)" >>/out/settings
}

# limit USER BYTES: of the user's group, in which the following jobs of the user are
limit() {
	echo "$2" >"/sys/fs/cgroup/$1/leaf/memory.max"
}

# job NUMBER USER COMMAND...: leaves NUMBER.status and NUMBER.said; HW_TRUTH is NUMBER.truth
job() {
	number=$1 user=$2
	shift 2
	HW_TRUTH=/out/$number.truth TMPDIR=/rooms/$user
	: >"$HW_TRUTH"
	chmod 666 "$HW_TRUTH"
	(
		cd "$TMPDIR" || exit 125
		# Who executes this is replaced by the monitor. $$ is another: the shell's that this one was forked from.
		HW_TRUTH_WATCHER=$(exec sh -c 'echo $PPID')
		echo 0 >"/sys/fs/cgroup/$user/leaf/cgroup.procs"
		if [ "$user" = root ]; then
			exec timeout -s KILL "$PATIENCE" "$@"
		else
			# shellcheck disable=SC2016 # for the inner shell
			exec timeout -s KILL "$PATIENCE" su -s /bin/sh -c 'exec "$@"' -- "$user" sh "$@"
		fi
	) >"/out/$number.said" 2>&1 </dev/null
	echo $? >"/out/$number.status"
	echo "@ $number"
}

. /jobs
echo '@begin'
tar -c -C /out . | gzip -1 | base64
echo '@end'
reboot -f
