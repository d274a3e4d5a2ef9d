# Shared by dev/setup and dev/test (POSIX sh): find a Python and a C compiler, make an environment, install packages.
# Where something is missing: root on a system with apt-get gets it installed; everyone else is told what to install.

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
may_install() { [ "$(id -u)" = 0 ] && have apt-get; }

log=$(mktemp)
scratch=$(mktemp -d)
trap 'rm -rf "$log" "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# quietly COMMAND...: its output is shown only if it fails
quietly() {
	"$@" >"$log" 2>&1 </dev/null && return 0
	cat "$log" >&2
	return 1
}

lists_fresh=
apt_install() {
	say "installing $*"
	# dpkg refuses to work where the sbin directories are not on PATH
	if [ -z "$lists_fresh" ]; then
		PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin quietly apt-get update || return 1
		lists_fresh=yes
	fi
	PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin DEBIAN_FRONTEND=noninteractive quietly apt-get install -y \
		--no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
}

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }

# Sets $python: $PYTHON if given, else the first that is new enough.
find_python() {
	for candidate in ${PYTHON:-python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
		if have "$candidate" && is_new_enough "$candidate"; then
			python=$("$candidate" -c 'import sys; print(sys.executable)') # behind a version manager's shim
			return 0
		fi
	done
	[ -z "${PYTHON:-}" ] || die "PYTHON=$PYTHON is no Python 3.10 or newer"
	die "no Python 3.10 or newer was found; install one (Debian: apt-get install python3), or name it: PYTHON=/path/to/python3 $0"
}

can_compile() {
	for candidate in ${CC:-cc gcc clang}; do
		if have "$candidate" && printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' |
			"$candidate" -x c -o "$scratch/probe" - 2>/dev/null; then
			return 0
		fi
	done
	return 1
}

need_compiler() {
	can_compile && return 0
	if may_install && [ -z "${CC:-}" ]; then
		apt_install gcc libc6-dev && can_compile && return 0
	fi
	die "no C compiler works here (with the C library's headers): apt-get install gcc libc6-dev"
}

can_make_environments() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

identity() { "$1" -c 'import sys; print(sys.base_prefix, sys.version)' 2>/dev/null; }

# make_environment DIRECTORY: a virtual environment of $python with pip in it; kept if it is one already
make_environment() {
	if [ "$(identity "$1/bin/python")" = "$(identity "$python")" ] && "$1/bin/python" -m pip --version >/dev/null 2>&1; then
		return 0
	fi
	rm -rf "$1"
	# Debian keeps ensurepip in a package of its own.
	version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
	if ! can_make_environments; then
		case $python in
		/usr/bin/*) ! may_install || apt_install "$version-venv" || true ;;
		esac
	fi
	if can_make_environments; then
		quietly "$python" -m venv "$1" || die "$python -m venv $1 failed"
	elif "$python" -m virtualenv --version >/dev/null 2>&1; then
		quietly "$python" -m virtualenv "$1" || die "$python -m virtualenv $1 failed"
	elif have uv; then
		quietly uv venv --seed --python "$python" "$1" || die "uv venv $1 failed"
	else
		die "$python can not make virtual environments; as root: apt-get install $version-venv"
	fi
}

# pip_install DIRECTORY ARGUMENT...: into the environment, at the versions of constraints.txt, the build's tools too
# (pip reads the constraints of isolated builds from one variable or from the other, by its age)
pip_install() {
	environment=$1
	shift
	PIP_CONSTRAINT=$PWD/constraints.txt PIP_BUILD_CONSTRAINT=$PWD/constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		quietly "$environment/bin/python" -m pip install "$@"
}
